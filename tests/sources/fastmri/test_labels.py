"""The label table: counts of the paper from the real annotations, and what each oddity of the files does."""

from pathlib import Path

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.errors import SourceError
from i2m2_med.sources.fastmri.labels import LabelRule, label_table, read_boxes, reviewed_volumes, unflip, volume_table

PUBLISHED = {"abnormal": (4497, 585), "meniscus_tear": (4858, 663), "acl": (1439, 254), "cartilage": (2986, 594)}
HEAD = "file,slice,study_level,x,y,width,height,label\n"


@pytest.fixture
def annotations(shared_data: Path) -> Path:
    return shared_data / "fastmri_plus" / "Annotations"


def write(folder: Path, rows: str, reviewed: str = "a\nb\n", head: str = HEAD) -> tuple[Path, Path]:
    (folder / "knee.csv").write_text(head + rows, encoding="utf-8")
    (folder / "list.csv").write_text(reviewed, encoding="utf-8")
    return folder / "knee.csv", folder / "list.csv"


@pytest.mark.parametrize("study_level", ["apart", "slice"])
def test_counts_of_the_paper(annotations: Path, study_level: str) -> None:
    table = label_table(annotations / "knee.csv", annotations / "knee_file_list.csv", study_level=study_level)
    assert list(table.columns) == ["file", "slice", *PUBLISHED]
    assert not table.duplicated(["file", "slice"]).any()
    volumes = volume_table(table)
    assert {name: (int(table[name].sum()), int(volumes[name].sum())) for name in PUBLISHED} == PUBLISHED


def test_any_finding_is_abnormal_when_asked(annotations: Path) -> None:
    table = label_table(annotations / "knee.csv", annotations / "knee_file_list.csv", abnormal="any")
    assert table["abnormal"].all()
    assert volume_table(table)["abnormal"].sum() == 974


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        (
            "fastmri_brain_i2m2",
            {
                "abnormal": (1052, 158),
                "white_matter_lesion": (729, 173),
                "nonspecific_lesion": (583, 124),
                "posttreatment": (1497, 143),
                "mass": (330, 56),
            },
        ),
        ("fastmri_brain_studies", {"normal_for_age": (0, 371), "small_vessel_disease": (0, 220)}),
    ],
)
def test_counts_that_brain_configs_state(
    annotations: Path, config: str, counts: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    """Slices and volumes with a box (findings of whole studies have none), as the head of the configs says."""
    settings = load_config(config, [f"source.root={tmp_path}"])[0].source
    table = label_table(
        annotations / "brain.csv",
        annotations / "brain_file_list.csv",
        settings.abnormal,
        settings.labels,
        anatomy="brain",
        no_findings=settings.no_findings,
    )
    boxed, volumes = table[table["slice"] >= 0], volume_table(table)
    with_box = volume_table(boxed).set_index("file").reindex(volumes["file"]).fillna(0)
    found = {name: int((with_box if name not in settings.study_labels else volumes)[name].sum()) for name in counts}
    assert {name: (int(boxed[name].sum()), found[name]) for name in counts} == counts
    texts = " ".join(
        path.read_text(encoding="utf-8") for path in (Path(__file__).parents[3] / "configs").rglob("*brain*.yaml")
    )
    for name, (slices, n_volumes) in counts.items():
        assert (f"{slices:,} ({n_volumes})" if slices else f"{name} {n_volumes}") in texts, name


def test_the_real_list_ends_in_a_title(annotations: Path) -> None:
    assert len(reviewed_volumes(annotations / "knee_file_list.csv")) == 1172


def test_what_is_no_finding_is_not_abnormal(tmp_path: Path) -> None:
    files = write(tmp_path, "a,1,No,1,2,3,4,Normal variant\na,2,No,1,2,3,4,Edema\n")
    table = label_table(*files, abnormal="any", no_findings=("Normal variant",)).set_index("slice")
    assert table["abnormal"].to_dict() == {1: 0, 2: 1}
    assert label_table(*files, no_findings=("Edema",)).set_index("slice")["abnormal"].to_dict() == {1: 1, 2: 0}


def test_duplicates_and_blanks(tmp_path: Path) -> None:
    files = write(
        tmp_path, "a,1,No,1,2,3,4,Joint Effusion \na,1,No,1,2,3,4,Joint Effusion\na,1,No,9,2,3,4,Joint Effusion\n"
    )
    assert len(read_boxes(files[0])) == 2
    assert label_table(*files).to_dict("records") == [
        {"file": "a", "slice": 1, "abnormal": 1, "meniscus_tear": 0, "acl": 0, "cartilage": 0}
    ]


def test_other_is_not_any(tmp_path: Path) -> None:
    files = write(tmp_path, "a,1,No,1,2,3,4,Ligament - ACL High Grade Sprain\n")
    assert label_table(*files)["abnormal"].tolist() == [0]
    assert label_table(*files, abnormal="any")["abnormal"].tolist() == [1]
    assert list(label_table(*files, abnormal="none").columns) == ["file", "slice", "meniscus_tear", "acl", "cartilage"]


def test_findings_of_a_whole_study_are_no_slices(tmp_path: Path) -> None:
    files = write(tmp_path, "a,0,Yes,,,,,artifact\na,0,No,1,1,2,2,Meniscus Tear\n")
    apart = label_table(*files).set_index("slice")["abnormal"]
    assert apart.to_dict() == {-1: 1, 0: 0}
    assert label_table(*files, study_level="slice").set_index("slice")["abnormal"].to_dict() == {0: 1}


def test_unreviewed_volumes_say_nothing(tmp_path: Path) -> None:
    files = write(tmp_path, "c,1,No,1,2,3,4,Meniscus Tear\nb.h5,1,No,1,2,3,4,Meniscus Tear\n")
    assert label_table(*files)["file"].tolist() == ["b"]


def test_rules_are_data(tmp_path: Path) -> None:
    files = write(tmp_path, "a,1,No,1,2,3,4,Ligament - PCL High Grade\na,2,No,1,2,3,4,Periarticular cysts\n")
    rules = {"ligament": LabelRule(contains=("ligament", "LCL"), ignore_case=True)}
    assert label_table(*files, rules=rules).to_dict("records") == [
        {"file": "a", "slice": 1, "abnormal": 0, "ligament": 1},
        {"file": "a", "slice": 2, "abnormal": 1, "ligament": 0},
    ]


def test_boxes_turn_the_right_way_up() -> None:
    assert unflip(y=0.0, height=10.0) == 310
    assert unflip(unflip(17.0, 5.0), 5.0) == 17


@pytest.mark.parametrize(
    ("rows", "reviewed", "head", "said"),
    [
        ("file_brain_1,1,No,1,2,3,4,Mass\n", "a\n", HEAD, "brain set"),
        ("", "file_brain_AXT1_1\n", HEAD, "brain set"),
        ("", "", HEAD, "no reviewed volume"),
        ("", "a\n", "file,label\n", r"lacks the column 'slice' \(it has 'file', 'label'\)"),
        ("a,x,No,1,2,3,4,Meniscus Tear\n", "a\n", HEAD, "line 2: file, slice"),
        ("a,-3,No,1,2,3,4,Meniscus Tear\n", "a\n", HEAD, "line 2: file, slice"),
        ("a,1,No,1,2,3,4,\n", "a\n", HEAD, "line 2: file, slice"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, rows: str, reviewed: str, head: str, said: str) -> None:
    files = write(tmp_path, rows, reviewed, head)
    with pytest.raises(SourceError, match=said) as raised:
        label_table(*files)
    assert "\n" not in str(raised.value)


def test_real_brain_annotations_are_refused(annotations: Path) -> None:
    with pytest.raises(SourceError, match=r"brain\.csv holds annotations of the brain set"):
        label_table(annotations / "brain.csv", annotations / "knee_file_list.csv")
    with pytest.raises(
        SourceError, match=r"knee\.csv holds annotations of the knee set\. Give the brain set's brain\.csv"
    ):
        label_table(annotations / "knee.csv", annotations / "brain_file_list.csv", anatomy="brain")
    with pytest.raises(SourceError, match=r"knee_file_list\.csv lists volumes of the knee set"):
        reviewed_volumes(annotations / "knee_file_list.csv", "brain")
    with pytest.raises(SourceError, match="Can't read"):
        label_table(annotations / "none.csv", annotations / "knee_file_list.csv")
