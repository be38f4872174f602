"""Config files: strict reading, writing back, flags over files."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from helpers.places import ROOT
from LiverMRISegLib.anatomy import ORGANS
from LiverMRISegLib.data.check_data import CheckDataConfig
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.evaluation.challenge import ChallengeConfig
from LiverMRISegLib.models.catalog import find_model, load_model
from LiverMRISegLib.models.package.model_package import load_spec
from LiverMRISegLib.networks.registry import parameter_shapes
from LiverMRISegLib.one_label.first_labels import FirstLabelsConfig
from LiverMRISegLib.one_label.rounds import OneLabelConfig
from LiverMRISegLib.pseudo_labels.match_domains import MatchDomainsConfig
from LiverMRISegLib.pseudo_labels.pseudo_label import PseudoLabelConfig
from LiverMRISegLib.pseudo_labels.stable_cases import StableCasesConfig
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.training.configuration import config_from_arguments, read_config, to_plain, write_config
from LiverMRISegLib.training.join_models import JoinModelsConfig
from LiverMRISegLib.training.plan_training import PlanTrainingConfig
from LiverMRISegLib.training.stages.bidirectional_copy_paste import CopyPasteStageConfig
from LiverMRISegLib.training.stages.config import StageConfig
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig
from LiverMRISegLib.training.stages.dual_task import DualTaskStageConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.intermediate_domains import IntermediateDomainsStageConfig
from LiverMRISegLib.training.stages.mean_teacher import MeanTeacherStageConfig
from LiverMRISegLib.translation.slice_segmenter import SliceSegmenterConfig
from LiverMRISegLib.translation.train_translator import TranslatorConfig
from LiverMRISegLib.translation.translate import TranslateConfig

CONFIGS = ROOT / "scripts/train/configs"
RECIPES = ROOT / "scripts/train/recipes"


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    patch: tuple[int, int, int] = (1, 2, 3)


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    flag: bool = False
    folder: Path = Path("x")
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_written_config_reads_back_equal(tmp_path):
    config = Outer("b", True, Path("y/z"), Inner(3.0, (4, 5, 6)), (Inner(), Inner(2.0)))
    write_config(config, tmp_path / "c.yaml")
    assert read_config(Outer, tmp_path / "c.yaml") == config


def test_integer_is_taken_where_a_float_is_expected(tmp_path):
    assert read_config(Outer, written(tmp_path, "inner: {rate: 1}")).inner.rate == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nam: b", "did you mean 'name'"),
        ("inner: {ratee: 1}", "did you mean 'inner.rate'"),
        (r"inner: {patch: [1, 2]}", r"inner.patch must be a list of 3, not \[1, 2\]"),
        ("flag: 1", "flag must be true or false, not 1"),
        ("name: 3", "name must be text, not 3; put it in quotes"),
        ("- a", "mapping"),
        ("a: [", "YAML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as error:
        read_config(Outer, written(tmp_path, text))
    assert "config.yaml" in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.yaml"):
        read_config(Outer, tmp_path / "absent.yaml")


def test_flags_override_the_file(tmp_path):
    path = written(tmp_path, "name: file\ninner: {rate: 5}")
    config = config_from_arguments(Outer, ["--config", str(path), "--name", "flag"])
    assert (config.name, config.inner.rate) == ("flag", 5.0)


def test_a_base_fills_in_what_a_file_leaves_out(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "first.yaml").write_text("name: first\nflag: true\ninner: {rate: 5, patch: [4, 5, 6]}")
    (tmp_path / "parts" / "second.yaml").write_text("base: first.yaml\nname: second\nmany: [{rate: 7}]")
    config = read_config(Outer, written(tmp_path, "base: parts/second.yaml\ninner: {rate: 1}\nmany: [{rate: 2}]"))
    assert config == Outer("second", True, Path("x"), Inner(1.0, (4, 5, 6)), (Inner(2.0),))


def test_a_mapping_inside_a_file_may_have_a_base(tmp_path):
    (tmp_path / "inner.yaml").write_text("rate: 5\npatch: [4, 5, 6]")
    config = read_config(Outer, written(tmp_path, "name: b\ninner: {base: inner.yaml, rate: 2}"))
    assert config == Outer("b", inner=Inner(2.0, (4, 5, 6)))


def test_a_base_that_is_missing_or_its_own_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.yaml.*a base of .*config\.yaml"):
        read_config(Outer, written(tmp_path, "base: absent.yaml"))
    (tmp_path / "other.yaml").write_text("base: config.yaml")
    with pytest.raises(UsageError, match="is a base of itself"):
        read_config(Outer, written(tmp_path, "base: other.yaml"))


SHIPPED = {
    "bidirectional_copy_paste": CopyPasteStageConfig,
    "check_data": CheckDataConfig,
    "cross_pseudo_supervision": CrossPseudoStageConfig,
    "distill": FinetuneConfig,
    "distill_paper_004": FinetuneConfig,
    "evaluate": ChallengeConfig,
    "finetune": FinetuneConfig,
    "first_labels": FirstLabelsConfig,
    "intermediate_domains": IntermediateDomainsStageConfig,
    "join_models": JoinModelsConfig,
    "match_domains": MatchDomainsConfig,
    "dual_task": DualTaskStageConfig,
    "mean_teacher": MeanTeacherStageConfig,
    "multi_organ": FinetuneConfig,
    "multi_organ_anatomy_space": FinetuneConfig,
    "one_label": OneLabelConfig,
    "plan_training": PlanTrainingConfig,
    "pseudo_label": PseudoLabelConfig,
    "self_training": FinetuneConfig,
    "stable_cases": StableCasesConfig,
    "train_slice_segmenter": SliceSegmenterConfig,
    "translate": TranslateConfig,
    "translator_anatomy_space": TranslatorConfig,
    "translator_organ_attention": TranslatorConfig,
    "translator_organ_attention_joint": TranslatorConfig,
    "translator_plain": TranslatorConfig,
}


RECIPE = "liver_any_sequence"
RECIPE_KINDS = {
    RECIPE: FinetuneConfig,
    "abdomen_any_sequence": FinetuneConfig,
    "liver_cps": CrossPseudoStageConfig,
}
STAGES = [CONFIGS / f"{name}.yaml" for name, kind in SHIPPED.items() if issubclass(kind, StageConfig)]


def test_every_shipped_config_is_known():
    assert sorted(path.stem for path in CONFIGS.glob("*.yaml")) == sorted(SHIPPED)
    assert sorted(path.stem for path in RECIPES.glob("*.yaml")) == sorted(RECIPE_KINDS)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_configs_read(name):
    assert read_config(SHIPPED[name], CONFIGS / f"{name}.yaml")


@pytest.mark.parametrize("name", ["bidirectional_copy_paste", "cross_pseudo_supervision", "intermediate_domains"])
def test_paper_001_trains_its_three_methods_alike(name):
    """Section 3.2: Adam, batches of 4, at most 36 epochs (nnU-Net counts 250 steps to one)."""
    config = read_config(SHIPPED[name], CONFIGS / f"{name}.yaml")
    assert config.optimizer.name == "adam"
    assert config.data.labelled_batch + config.data.unlabelled_batch == 4
    assert config.loop.steps == 36 * 250


@pytest.mark.parametrize("path", [*STAGES, *sorted(RECIPES.glob("*.yaml"))], ids=lambda p: p.stem)
def test_patches_of_shipped_configs_fit_their_networks(path):
    """Every stride divides the patch, and the coarsest level is 3 voxels deep at least."""
    config = read_config({**SHIPPED, **RECIPE_KINDS}[path.stem], path)
    for axis, size in enumerate(config.data.patch):
        total = math.prod(stride[axis] for stride in config.network_spec().kwargs["strides"])
        assert size % total == 0
        assert size // total >= 3
    assert parameter_shapes(config.network_spec().name, config.network_spec().kwargs)


def test_the_shipped_model_is_a_start_of_its_recipe():
    config = read_config(FinetuneConfig, CONFIGS / "self_training.yaml")
    network = config.new_network(0, deep_supervision=True)
    package = load_model(DEFAULT_MODEL)
    weights, inference = package.weights, package.spec.inference
    assert all(np.allclose(t.numpy(), weights[n]) for n, t in network.state_dict().items())
    assert config.data.preparation == package.spec.preparation
    assert config.data.patch == inference.patch
    for name in ("image_refinement", "outline_offsets", "unrefined", "region", "region_margin", "resample"):
        assert getattr(config, name) == getattr(inference, name), name


def assert_equal_where_both(own, shipped):
    for key, value in own.items():
        if isinstance(value, dict):
            assert_equal_where_both(value, shipped[key])
        elif key in shipped:
            assert value == shipped[key], key


def test_the_recipe_makes_a_model_of_the_shipped_kind():
    config = read_config(FinetuneConfig, RECIPES / f"{RECIPE}.yaml")
    spec = load_spec(find_model(DEFAULT_MODEL))
    assert config.network_spec() == spec.network
    assert config.data.preparation == spec.preparation
    assert list(config.data.organs) == [organ.name for organ in spec.labels.organs]
    assert (config.name, config.data.patch) == (spec.name, spec.inference.patch)
    for key in ("image_refinement", "outline_offsets", "unrefined", "region", "region_margin", "resample"):
        assert getattr(config, key) == getattr(spec.inference, key), key
    last = spec.provenance[0]
    assert config.background_offset == last["background offset"]
    assert_equal_where_both(to_plain(config.data.synthetic.randomization), last["config"]["randomization"])
    assert_equal_where_both(to_plain(config.optimizer), last["config"]["optimizer"])
    assert not config.start


def test_the_recipe_of_more_organs_goes_on_from_the_first():
    names = (RECIPE, "abdomen_any_sequence")
    first, following = (read_config(FinetuneConfig, RECIPES / f"{name}.yaml") for name in names)
    assert Path(following.start) == first.run_folder / "model"
    assert following.keep_heads
    assert following.data.organs[: len(first.data.organs)] == first.data.organs
    assert set(following.data.organs) == {organ.name for organ in ORGANS}
    assert (following.data.preparation, following.data.patch) == (first.data.preparation, first.data.patch)
    assert following.network_spec().kwargs["strides"] == first.network_spec().kwargs["strides"]


def test_the_two_sides_of_paper_004_share_a_grid():
    translator = read_config(TranslatorConfig, CONFIGS / "translator_anatomy_space.yaml")
    fold = read_config(FinetuneConfig, CONFIGS / "multi_organ_anatomy_space.yaml")
    assert (translator.spacing, translator.space) == (fold.data.spacing, fold.data.space)
