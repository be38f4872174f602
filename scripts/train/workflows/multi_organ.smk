# Labelled CT, MR without labels -> translators -> translated CT -> folds -> pseudo labels (-> matched domains)
# -> folds on real MR, any number of rounds -> the last folds as one ensemble (paper 003's model), and the small network
# that learns from them (paper 004's) -> the figures of both.
#
#   snakemake -s scripts/train/workflows/multi_organ.smk --cores 1 --config ct=flare24.json mr=flare24.json
#   ... --configfile scripts/train/workflows/multi_organ_paper_004.yaml
#
# The datalists come from scripts/import_dataset.py. A stage that was stopped resumes from its last checkpoint; after a
# kill, unlock first (snakemake --unlock) and add --rerun-incomplete.
import re

configfile: Path(workflow.basedir) / "multi_organ.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])
SEQUENCES = config["sequences"]
FINAL = config["final"]
if unknown := set(FINAL) - {"ensemble", "small"}:
    raise WorkflowError(f"final: there is no {', '.join(sorted(unknown))}; choose from ensemble, small")
for settings in ("translator", "segmenter", "small"):  # a misspelt one is named before anything runs
    config_file(config[settings])
ROUNDS = int(config["rounds"])
FOLDS = range(int(config["folds"]))
STABLE = config["selection"] == "stability"
MATCH = config["match"]
HAS_ATTENTION = config["translator"] == "translator_organ_attention"
IS_JOINT = config["translator"] == "translator_organ_attention_joint"
if STABLE and not ROUNDS:
    raise WorkflowError("selection: stability compares rounds; rounds must be at least 1")
if HAS_PLAN and settings_of(config["translator"]).get("space", "intensity") != "intensity":
    raise WorkflowError(
        "plan: gradient images are made at the translators' spacing, and the folds must have the same; set plan to false, "
        "and another spacing for both by slice_flags and fold_flags"
    )
# Worse sequences' own labels from before they were matched are none that later ones should be compared or joined with;
# after a single round there are no others.
FIRST_STABLE = 1 if MATCH and ROUNDS > 1 else 0
COMPARED = [OUTPUT / f"round_{number}" / "labels" / "datalist.json" for number in range(FIRST_STABLE, ROUNDS + 1)]
# Stability ranks the cases after the last round; until then all of them are trained on.
KEPT_IN_A_ROUND = 10**6 if STABLE else config["keep"]
TRANSLATED = expand(OUTPUT / "translated" / "{sequence}" / "datalist.json", sequence=SEQUENCES)


wildcard_constraints:
    round=r"\d+",
    fold=r"\d+",
    sequence="|".join(re.escape(sequence) for sequence in SEQUENCES),
    final="ensemble|small",


def labels_of(number):
    """The datalist that is trained on after round `number`."""
    stage = "matched" if MATCH and number == 0 else "labels"
    return OUTPUT / f"round_{number}" / stage / "datalist.json"


def models_of(number):
    return [OUTPUT / f"round_{number}" / f"fold_{fold}" / "model" / "model.json" for fold in FOLDS]


def fold_lists(wildcards):
    number = int(wildcards.round)
    return TRANSLATED if number == 0 else [labels_of(number - 1), *TRANSLATED]


def final_lists():
    chosen = OUTPUT / "stable" / "datalist.json" if STABLE else labels_of(ROUNDS)
    return [chosen, *config["small_ct"], *([] if config["small_ct"] else TRANSLATED)]


def folders(files):
    return [Path(file).parent for file in files]


rule all:
    input:
        expand(OUTPUT / "{final}" / "model" / "model.json", final=FINAL),
        expand(OUTPUT / "{final}" / "evaluation" / "summary.csv", final=FINAL if config["test"] else []),


# Before all, if `plan` is set: spacing, patch and network of the folds by the labelled CT.
rule plan:
    input:
        config["ct"],
    output:
        OUTPUT / "plans" / "{settings}.yaml",
    params:
        command=lambda wildcards: plan_command(
            config["segmenter"], [config["ct"]],
            "--labelled.sequences", "CT",
            "--organs", *config["organs"],
            "--network", "residual-encoder-unet",
            "--normalisation", "z-score",  # folds learn translations and label MR: the CT's figures mean nothing there
        ),
    shell:
        "{PYTHON} {params.command}"


# It comes first: steps, inferences, disk, memory and hours of every training; an error if memory or disk will not do.
# Labelled CT stands in for its translations and for pseudo labels.
rule preview:
    input:
        plan_of(config["segmenter"]),
        ct=config["ct"],
        mr=config["mr"],
    output:
        PREVIEW,
    params:
        command=lambda wildcards, input: previewed(
            *([(
                "1 segmenter of slices:",
                training(
                    "train_slice_segmenter", "train_slice_segmenter",
                    "--run-folder", OUTPUT / "preview" / "slice_segmenter",
                    "--source.datalists", input.ct,
                    "--cache", OUTPUT / "cache",
                    "--organs", *config["organs"],
                    *config["slice_flags"],
                    *config["segmenter_flags"],
                    "--loop.preview",
                ),
            )] if HAS_ATTENTION else []),
            (
                f"{len(SEQUENCES)} translators, each:",
                training(
                    "train_translator", "translator_plain" if HAS_ATTENTION else config["translator"],
                    "--run-folder", OUTPUT / "preview" / "translator",
                    "--source.datalists", input.ct,
                    "--target.datalists", input.mr,
                    "--target.pool.sequences", SEQUENCES[0],
                    "--cache", OUTPUT / "cache",
                    *(["--organs", *config["organs"]] if IS_JOINT else []),
                    *config["slice_flags"],
                    *config["translator_flags"],
                    "--loop.preview",
                ),
            ),
            *(
                (
                    f"{count} {title}, each:",
                    training(
                        "finetune", settings,
                        "--run-folder", OUTPUT / "preview" / config_file(settings).stem,
                        "--data.datalists", input.ct,
                        "--data.labelled.sequences", "CT",
                        "--data.organs", *config["organs"],
                        "--data.cache", OUTPUT / "cache",
                        *flags,
                        "--loop.preview",
                        "--loop.preview-cases", scans_in(input.ct, "CT") * len(SEQUENCES),
                        *more,
                    ),
                )
                for count, title, settings, flags, more in (
                    (
                        len(FOLDS) * (ROUNDS + 1), "folds", planned(config["segmenter"]), config["fold_flags"],
                        [
                            "--loop.preview-labels", scans_in(input.mr, *SEQUENCES, *config["also_labelled"]),
                            "--data.fold.number", 0, "--data.fold.count", len(FOLDS),
                        ],
                    ),
                    *([(1, "small network", config["small"], config["small_flags"], [])] if "small" in FINAL else []),
                )
            ),
            reads=[
                read_all([input.ct], "--pool.sequences", "CT"),
                read_all([input.mr], "--pool.sequences", *SEQUENCES, *config["also_labelled"], "--no-labels"),
                *([read_all(config["small_ct"])] if config["small_ct"] else []),
                *read_test(),
            ],
        ),
    shell:
        "({params.command}) 2>&1 | tee {output}"


rule train_slice_segmenter:
    input:
        ancient(PREVIEW),
        ct=config["ct"],
    output:
        touch(OUTPUT / "slice_segmenter" / "done"),
    params:
        content=content_of("train_slice_segmenter"),
        command=lambda wildcards: training(
            "train_slice_segmenter", "train_slice_segmenter",
            "--run-folder", OUTPUT / "slice_segmenter",
            "--source.datalists", config["ct"],
            "--cache", OUTPUT / "cache",
            "--organs", *config["organs"],
            *config["slice_flags"],
            *config["segmenter_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule train_translator:
    input:
        ancient(PREVIEW),
        ct=config["ct"],
        mr=config["mr"],
        attention=[OUTPUT / "slice_segmenter" / "done"] if HAS_ATTENTION else [],
    output:
        touch(OUTPUT / "translators" / "{sequence}" / "done"),
    params:
        content=content_of(config["translator"]),
        command=lambda wildcards: training(
            "train_translator", config["translator"],
            "--run-folder", OUTPUT / "translators" / wildcards.sequence,
            "--source.datalists", config["ct"],
            "--target.datalists", config["mr"],
            "--target.pool.sequences", wildcards.sequence,
            "--cache", OUTPUT / "cache",
            *(["--segmenter", OUTPUT / "slice_segmenter"] if HAS_ATTENTION else []),
            *(["--organs", *config["organs"]] if IS_JOINT else []),
            *config["slice_flags"],
            *config["translator_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule translate:
    input:
        ct=config["ct"],
        translator=OUTPUT / "translators" / "{sequence}" / "done",
    output:
        OUTPUT / "translated" / "{sequence}" / "datalist.json",
    params:
        command=lambda wildcards: call(
            "translate", "translate",
            "--translator", OUTPUT / "translators" / wildcards.sequence,
            "--source.datalists", config["ct"],
            "--sequence", wildcards.sequence,
            "--output", OUTPUT / "translated" / wildcards.sequence,
        ),
    shell:
        "{PYTHON} {params.command}"


rule train_segmenter:
    input:
        plan_of(config["segmenter"]),
        lists=fold_lists,
    output:
        OUTPUT / "round_{round}" / "fold_{fold}" / "model" / "model.json",
    params:
        content=content_of(config["segmenter"]),
        command=lambda wildcards: training(
            "finetune", planned(config["segmenter"]),
            "--run-folder", OUTPUT / f"round_{wildcards.round}" / f"fold_{wildcards.fold}",
            "--data.datalists", *fold_lists(wildcards),
            "--data.organs", *config["organs"],
            "--data.cache", OUTPUT / "cache",
            "--data.fold.number", wildcards.fold,
            "--data.fold.count", len(FOLDS),
            *config["fold_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule pseudo_label:
    input:
        mr=config["mr"],
        models=lambda wildcards: models_of(wildcards.round),
    output:
        OUTPUT / "round_{round}" / "labels" / "datalist.json",
    params:
        command=lambda wildcards: call(
            "pseudo_label", "pseudo_label",
            "--models", *folders(models_of(wildcards.round)),
            "--datalists", config["mr"],
            "--pool.sequences", *SEQUENCES, *config["also_labelled"],
            "--keep", KEPT_IN_A_ROUND,
            "--output", OUTPUT / f"round_{wildcards.round}" / "labels",
        ),
    shell:
        "{PYTHON} {params.command}"


rule match_domains:
    input:
        OUTPUT / "round_{round}" / "labels" / "datalist.json",
    output:
        OUTPUT / "round_{round}" / "matched" / "datalist.json",
    params:
        command=lambda wildcards: call(
            "match_domains", "match_domains",
            "--datalist", OUTPUT / f"round_{wildcards.round}" / "labels" / "datalist.json",
            "--better", *MATCH["better"],
            "--worse", *MATCH["worse"],
            "--output", OUTPUT / f"round_{wildcards.round}" / "matched",
            *config["match_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule stable_cases:
    input:
        COMPARED,
    output:
        OUTPUT / "stable" / "datalist.json",
    params:
        command=lambda wildcards: call(
            "stable_cases", "stable_cases",
            "--iterations", *folders(COMPARED),
            "--keep", config["keep"],
            "--output", OUTPUT / "stable",
        ),
    shell:
        "{PYTHON} {params.command}"


rule join_models:
    input:
        models_of(ROUNDS),
    output:
        OUTPUT / "ensemble" / "model" / "model.json",
    params:
        command=lambda wildcards: call(
            "join_models", "join_models",
            "--models", *folders(models_of(ROUNDS)),
            "--output", OUTPUT / "ensemble" / "model",
        ),
    shell:
        "{PYTHON} {params.command}"


rule distill:
    input:
        lists=final_lists(),
    output:
        OUTPUT / "small" / "model" / "model.json",
    params:
        content=content_of(config["small"]),
        command=lambda wildcards: training(
            "finetune", config["small"],
            "--run-folder", OUTPUT / "small",
            "--data.datalists", *final_lists(),
            "--data.organs", *config["organs"],
            "--data.cache", OUTPUT / "cache",
            *config["small_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule evaluate:
    input:
        model=OUTPUT / "{final}" / "model" / "model.json",
        test=config["test"] or [],
    output:
        OUTPUT / "{final}" / "evaluation" / "summary.csv",
    params:
        command=lambda wildcards: call(
            "../evaluate_challenge", "evaluate",
            "--model", OUTPUT / wildcards.final / "model",
            "--datalists", config["test"],
            "--split", config["test_split"],
            "--output", OUTPUT / wildcards.final / "evaluation",
            *config["test_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"
