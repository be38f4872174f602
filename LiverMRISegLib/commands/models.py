"""`livermriseg models`: list, show, verify, import, tune, export and remove models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.commands.console import ProgressBar, add_common_options, comma_separated, say, say_json, table

if TYPE_CHECKING:
    from LiverMRISegLib.models.package.model_package import ModelPackage
    from LiverMRISegLib.models.package.specification import ModelSpec


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` and its actions to the command line."""
    parser = commands.add_parser("models", help="list, show, verify, import, tune, export and remove models")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list all models, shipped and imported")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    listing.set_defaults(run=run_list)
    show = actions.add_parser("show", help="show what a model segments, what it was trained on and how well it did")
    show.add_argument("model", metavar="NAME|PATH")
    show.add_argument("--json", action="store_true", help="print model.json")
    show.set_defaults(run=run_show)
    verify = actions.add_parser("verify", help="check every file and tensor of a model")
    verify.add_argument("model", metavar="NAME|PATH")
    verify.set_defaults(run=run_verify)
    importing = actions.add_parser("import", help="import a model package, or convert a checkpoint of another project")
    _add_kinds(importing.add_subparsers(dest="kind", metavar="KIND", required=True))
    _add_tune(actions)
    exporting = actions.add_parser("export", help="write a model in the format of another program")
    exporting.add_argument("model", metavar="NAME|PATH")
    exporting.add_argument("--format", required=True, choices=("monai-bundle",), help="format to write")
    exporting.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="new or empty folder")
    exporting.set_defaults(run=run_export)
    remove = actions.add_parser("remove", help="delete an imported model")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=run_remove)
    for action in (listing, show, verify, exporting, remove):
        add_common_options(action)


def _add_kinds(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The kinds of `models import`."""
    stunet = kinds.add_parser("stunet", help="convert an official .model or .pth file")
    sam = kinds.add_parser("sam-med3d", help="convert sam_med3d_turbo.pth into an encoder for one-label training")
    for foreign in (stunet, sam):
        foreign.add_argument("source", type=Path, metavar="SOURCE")
        foreign.add_argument("name", metavar="NAME", help="name of the new model")
        foreign.set_defaults(run=run_import_foreign)
    nnunet = kinds.add_parser("nnunet", help="convert a trained nnU-Net model")
    nnunet.add_argument("source", type=Path, metavar="FOLDER", help="TRAINER__PLANS__CONFIGURATION")
    nnunet.add_argument("name", metavar="NAME", help="name of the new model")
    folds = "folds to use, e.g. 0,1,2 or all (default: all numbered folds)"
    nnunet.add_argument("--folds", type=comma_separated, metavar="A,B", help=folds)
    nnunet.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="file in each fold (default: checkpoint_final.pth, of v1 model_final_checkpoint.model)",
    )
    nnunet.set_defaults(run=run_import_nnunet)
    package = kinds.add_parser("package", help="check and copy a model package (folder or .zip)")
    package.add_argument("source", type=Path, metavar="SOURCE")
    package.add_argument("--name", metavar="NAME", help="name of the model on this computer (default: its own)")
    package.add_argument("--replace", action="store_true", help="take the name of an imported or a shipped model")
    package.set_defaults(run=run_import_package)
    for kind in (stunet, sam, nnunet, package):
        add_common_options(kind)


def _add_tune(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tune = actions.add_parser("tune", help="find the fastest settings of a model for this CPU on your volumes")
    tune.add_argument("model", metavar="NAME|PATH")
    tune.add_argument("volumes", type=Path, nargs="+", metavar="VOLUME", help="volumes like those you will segment")
    least = "lowest Dice of each organ against the model at full precision (default: 0.999)"
    tune.add_argument("--least-dice", type=float, default=0.999, metavar="D", help=least)
    keep = "use the fastest allowed setting for this imported model from now on"
    tune.add_argument("--keep", action="store_true", help=keep)
    tune.set_defaults(run=run_tune)
    add_common_options(tune)


def run_list(arguments: argparse.Namespace) -> int:
    """Print one line per model; for a damaged one, what is wrong."""
    from LiverMRISegLib.errors import LiverMRISegError
    from LiverMRISegLib.models.catalog import list_models
    from LiverMRISegLib.models.package.model_package import ModelPackage

    rows: list[tuple[str, ...]] = []
    documents: list[dict[str, Any]] = []
    for entry in list_models():
        origin = "shipped" if entry.is_shipped else "imported"
        try:
            package = ModelPackage.load(entry.path)
            package.verify()
        except (LiverMRISegError, OSError, MemoryError) as error:
            rows.append((entry.name, "-", "-", origin, f"cannot be used: {error}"))
            documents.append({"name": entry.name, "origin": origin, "error": str(error)})
            continue
        organs = [organ.name for organ in package.spec.labels.organs]
        rows.append((entry.name, package.spec.version, f"{package.size_mb:.1f}", origin, ", ".join(organs)))
        documents.append({
            "name": entry.name, "version": package.spec.version, "megabytes": round(package.size_mb, 3),
            "origin": origin, "organs": organs,
        })  # fmt: skip
    if arguments.json:
        say_json(documents)
    else:
        say(table(("model", "version", "MB", "origin", "organs"), rows))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print the description of a model."""
    from LiverMRISegLib.models.catalog import load_model
    from LiverMRISegLib.models.package.codec import to_json

    package = load_model(arguments.model)
    if arguments.json:
        say(to_json(package.spec, package.hashes).rstrip())
    else:
        say(_description(package))
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Check a model; ModelError if anything is wrong."""
    from LiverMRISegLib.models.catalog import load_model

    package = load_model(arguments.model)
    tensors = package.verify()
    found = f"{package.spec.version}, {tensors} tensors, {package.size_mb:.1f} MB"
    say(f"{arguments.model} is complete and undamaged: version {found}")
    return 0


def run_import_foreign(arguments: argparse.Namespace) -> int:
    """Convert a checkpoint of another project into the user's models folder."""
    from LiverMRISegLib.models.catalog import check_new_name, folder_for_imports
    from LiverMRISegLib.models.importers.import_sam_med3d import import_sam_med3d
    from LiverMRISegLib.models.importers.import_stunet import import_stunet

    check_new_name(arguments.name)
    convert = import_stunet if arguments.kind == "stunet" else import_sam_med3d
    path = convert(arguments.source, arguments.name, folder_for_imports())
    say(f"{path} written; use it as --{'model' if convert is import_stunet else 'encoder'} {arguments.name}")
    return 0


def run_import_nnunet(arguments: argparse.Namespace) -> int:
    """Convert a folder of a trained nnU-Net model into the user's models folder."""
    from LiverMRISegLib.models.catalog import check_new_name, folder_for_imports
    from LiverMRISegLib.models.importers.import_nnunet import CHECKPOINT, import_nnunet_model
    from LiverMRISegLib.models.package.model_package import load_spec

    check_new_name(arguments.name)
    path = import_nnunet_model(
        arguments.source,
        arguments.name,
        folder_for_imports(),
        folds=arguments.folds or (),
        checkpoint=arguments.checkpoint or CHECKPOINT,
    )
    say(f"{path} written; use it as --model {arguments.name}")
    for line in _images(load_spec(path)):
        say(line)
    return 0


def run_import_package(arguments: argparse.Namespace) -> int:
    """Copy a package into the user's models folder."""
    from LiverMRISegLib.models.catalog import import_package

    entry = import_package(arguments.source, arguments.name, replace=arguments.replace)
    say(f"{entry.path} written; use it as --model {entry.name}")
    return 0


def run_tune(arguments: argparse.Namespace) -> int:
    """Print the time and the Dice of each setting, and store the fastest one if asked to."""
    from LiverMRISegLib.inference import tuning
    from LiverMRISegLib.io import read_channels
    from LiverMRISegLib.models.catalog import load_model

    package = load_model(arguments.model)
    if arguments.keep:
        tuning.check_can_be_kept(package)
    images = [image.name for image in package.spec.preparation.images]
    cases = [read_channels(path, images) for path in arguments.volumes]
    with ProgressBar() as progress:
        found = tuning.compare_settings(package, cases, progress=progress)
    chosen = tuning.fastest(found, arguments.least_dice)
    rows = [
        (str(m.setting), f"{m.seconds:.2f}", f"{m.mean_dice:.5f}", f"{m.lowest_dice:.5f}",
         "fastest allowed" if m is chosen else "")
        for m in found
    ]  # fmt: skip
    say(table(("setting", "seconds a volume", "mean Dice", "lowest Dice", ""), rows))
    if arguments.keep:
        tuning.keep(package, chosen, len(cases))
        say(f"{package.path} runs with {chosen.setting} from now on")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Write a MONAI bundle, so far the only format."""
    from LiverMRISegLib.extras import require
    from LiverMRISegLib.models.catalog import load_model

    require("writing a MONAI bundle", "torch", "torch")
    from LiverMRISegLib.models.monai_bundle.export_monai_bundle import export_monai_bundle

    folder = export_monai_bundle(load_model(arguments.model), arguments.output)
    say(f"{folder} written; {folder / 'docs' / 'README.md'} says how to run it")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Delete an imported model."""
    from LiverMRISegLib.models.catalog import remove_model

    remove_model(arguments.name)
    say(f"{arguments.name} removed")
    return 0


def _description(package: ModelPackage) -> str:
    from LiverMRISegLib.inference.trust import trust_source

    spec = package.spec
    lines = [
        f"{spec.name} {spec.version}: {spec.task}",
        f"modality    {spec.modality}; sequences: {', '.join(spec.sequences) or 'not stated'}",
        *([f"trained on  {', '.join(spec.trained_on)}"] if spec.trained_on else []),
        *_images(spec),
        f"organs      {', '.join(f'{value} {organ.name}' for value, organ in spec.labels.items())}",
        f"network     {spec.network.name}, {package.size_mb:.1f} MB",
        f"grid        {' x '.join(f'{s:g}' for s in reversed(spec.preparation.spacing))} mm, "
        f"patch {' x '.join(map(str, reversed(spec.inference.patch)))}",
        f"trust       {trust_source(spec, is_in_box=False)}",
        f"licence     {spec.weights_license}",
        f"use         {spec.intended_use}",
    ]
    lines += [f"measured    {_measured(dict(metric))}" for metric in spec.metrics]
    return "\n".join(lines)


def _images(spec: ModelSpec) -> list[str]:
    """Which images to give for each case, if there is more than one."""
    from LiverMRISegLib.io.channels import what_to_give

    channels = spec.preparation.channels
    return [f"images      {what_to_give([channel.name for channel in channels])}"] if channels else []


def _measured(metric: dict[str, Any]) -> str:
    data, cases, figure = metric.pop("data set", "unnamed data"), metric.pop("cases", "?"), metric.pop("figure", "")
    where = f"{data} ({cases} {'case' if cases == 1 else 'cases'})"
    figures = ", ".join(f"{key} {value}" for key, value in metric.items())
    return f"{where}: " + (f"{figure}: {figures}" if figure else figures)
