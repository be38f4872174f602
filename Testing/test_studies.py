"""The rows of the studies can be made: their trainings take hours, and a study that is broken is noticed too late."""

import pytest

from helpers.places import ROOT


@pytest.fixture(autouse=True)
def studies(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "Testing/studies"))


def test_rows_of_hearts_and_livers(tmp_path):
    import heart_labels
    import liver_labels
    from LiverMRISegLib.training.stages.data_config import SyntheticConfig

    lists = tmp_path / "datalist.json"
    hearts = [row for labels in (4, 8) for row in heart_labels.rows(lists, labels, tmp_path, 10, 0)]
    hearts += heart_labels.few_rows(lists, tmp_path, 10, 0)
    assert hearts[0].config.data.labelled.patients == ("la_00", "la_01", "la_02", "la_03")
    livers = liver_labels.rows(lists, SyntheticConfig(), tmp_path, 10, 0)
    assert {row.config.loop.steps for row in hearts + livers} == {10}


@pytest.mark.parametrize("name", ["heart", "liver"])
def test_rows_of_one_label(tmp_path, name):
    import one_label

    study = one_label.STUDIES[name](tmp_path, tmp_path, 10, 0)
    assert study.common["data"].labelled.patients == (study.template,)
    assert study.template not in {scan.patient for scan in study.tests}
    rows = [*one_label.peers(study), *(row for row, _ in one_label.everything_labelled(study))]
    assert len({row.name for row in rows}) == len(rows)
    assert one_label.one_label(study, tmp_path)
    assert one_label.encoders(study, tmp_path)


@pytest.mark.parametrize("number", [0, 1])
def test_folds_of_ct_leave_out_a_fifth_of_the_bodies_also_where_images_are_painted(tmp_path, number):
    import ct_to_mr

    study = ct_to_mr.Study(tmp_path, tmp_path, 10, 10, 0)
    rows = ct_to_mr.make_rows(study)
    painted = ct_to_mr.fold_of(rows["domain randomisation"](), number)
    assert (painted.labelled_batch, painted.synthetic.batch, len(painted.synthetic.validation_bodies)) == (0, 2, 6)
    assert ct_to_mr.fold_of(rows["CT only"](), number).fold.number == number


def test_an_unknown_row_is_refused():
    from study import check_rows

    check_rows((), ["CPS"])
    with pytest.raises(SystemExit, match="unknown rows: CSP"):
        check_rows(["CSP"], ["CPS", "BCP"])
