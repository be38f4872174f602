"""What the package of an adapted model says of itself."""

from dataclasses import replace

import pytest

from helpers.corrected_masks import write_bare, write_cases
from helpers.packages import random_weights, tiny_spec
from LiverMRISegLib.adaptation.adapted_package import learnt_volumes, write_adapted
from LiverMRISegLib.adaptation.corrections import Unlabelled, read_corrections, read_unlabelled
from LiverMRISegLib.adaptation.masks import numbered
from LiverMRISegLib.anatomy import LIVER, SPLEEN, LabelSet
from LiverMRISegLib.data.importers import OwnDataOptions
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import NetworkSpec
from LiverMRISegLib.training.packaging import write_package

GAPS = LabelSet("gaps", {2: LIVER, 4: SPLEEN})


def package(path, **changes):
    spec = replace(tiny_spec(path.name), **changes)
    return ModelPackage.load(write_package(spec, [random_weights(spec)], path))


@pytest.fixture
def start(tmp_path):
    """Of its network's channels some are offered to nobody."""
    return package(tmp_path / "start", labels=GAPS, postprocessing={})


def adapted(start, tmp_path, cases, options, unlabelled=None):
    """The package that is written of `cases`, with the trained network of two organs."""
    organs = numbered(start.spec.labels)
    found = read_corrections(cases, organs, options, tmp_path / "made", learnt_volumes(start.spec))
    kwargs = {**start.spec.network.kwargs, "out_channels": 3}
    stage = {"stage": "FinetuneConfig", "labelled scans": len(found.training)}
    trained = package(
        tmp_path / "trained", labels=organs, postprocessing={}, network=NetworkSpec("stunet", kwargs),
        provenance=(stage,),
    )  # fmt: skip
    bare = read_unlabelled(unlabelled, options, found, cases) if unlabelled else Unlabelled()
    return found, ModelPackage.load(write_adapted("mine", start, trained, found, bare, (), tmp_path / "mine")).spec


def options_of(start, **changes):
    values = {1: "liver", 4: "spleen"}
    return OwnDataOptions(usual_values=values, takes_results=True, **changes)


def test_organs_are_counted_by_their_names_whatever_the_starts_values(start, tmp_path):
    _, spec = adapted(start, tmp_path, write_cases(tmp_path / "cases", 2), options_of(start))
    assert spec.provenance[-1]["corrected organs"] == {"liver": 2, "spleen": 2}
    assert [(value, organ.name) for value, organ in spec.labels.items()] == [(1, "liver"), (2, "spleen")]


def test_what_was_learnt_from_before_is_known_to_the_next_adaptation(start, tmp_path):
    cases = write_cases(tmp_path / "cases", 4)
    found, spec = adapted(start, tmp_path, cases, options_of(start))
    assert [case.scan.patient for case in found.held_out] == ["p0_T2WI"]
    assert learnt_volumes(spec) == {case.content for case in found.training}
    again, _ = adapted(package(tmp_path / "again", labels=GAPS, postprocessing={}, provenance=spec.provenance),
                       tmp_path, cases, options_of(start))  # fmt: skip
    assert again.known == {"p1_T2WI", "p2_T2WI", "p3_T2WI"}
    assert not again.held_out


def test_a_package_that_says_something_else_there_is_taken_as_it_is(tmp_path):
    odd = package(tmp_path / "odd", provenance=({"checksums of the volumes": 7}, {"stage": "adapt"}))
    assert learnt_volumes(odd.spec) == frozenset()


def test_sequences_of_volumes_without_masks_and_other_modalities_are_said(start, tmp_path):
    cases, bare = write_cases(tmp_path / "cases", 2), write_bare(tmp_path / "bare", 1)
    (bare / "u0_T2WI.nii.gz").rename(bare / "u0_T1WI.nii.gz")
    _, spec = adapted(start, tmp_path, cases, options_of(start), bare)
    assert (spec.sequences, spec.trained_on, spec.modality) == (("T2WI",), ("T1WI", "T2WI"), "MR")
    assert spec.task.endswith("2 corrected volumes (T2WI) and 1 volume without masks")
    _, spec = adapted(start, tmp_path, cases, options_of(start, sequence="CT"))
    assert (spec.sequences, spec.modality) == (("T2WI", "CT"), "any")
