"""The papers' split lists of CheXpert, those of their predecessor, and lists that cannot be used."""

import pytest
from chest_files import add_chexpert_test, counts_of, edit, make_chexpert, read

from medpeft_core.errors import DataError


@pytest.fixture
def root(tmp_path):
    return make_chexpert(tmp_path)


def write_lists(folder, root, *, with_val=True):
    """The papers' form; the labels differ from the table's, so it shows which are used."""
    folder.mkdir(exist_ok=True)
    train = [
        f"CheXpert-v1.0-small/train/patient{number:05d}/study1/view1_frontal.jpg 0 0 1 0 1" for number in range(1, 9)
    ]
    (folder / "train_1.txt").write_text("\n".join(train) + "\n")
    (folder / "test_list.txt").write_text(
        "\r\n".join(f"CheXpert-v1.0-small/{path} 1 1 1 0 0" for path in add_chexpert_test(root))
    )
    if with_val:
        (folder / "val_list.txt").write_text(
            "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg 1 1 1 1 1\n"
        )


def test_chexpert_uses_the_papers_lists(root):
    write_lists(root / "lists", root)
    (root / "test_labels.csv").unlink()
    manifest = read("chexpert", root)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 36, "val": 1, "test": 4}
    assert counts_of(manifest, "test") == [4, 4, 4, 0, 0]
    assert "Split and labels of the papers' lists for val, test; train of the official tables." in manifest.notes
    assert "4 images of the papers' lists are in no label table; their ages are not known." in manifest.notes
    few = read("chexpert", root, lists="papers_1")
    assert counts_of(few, "train") == [0, 0, 8, 0, 8]
    assert few.split("train").table["age"].tolist() == [68] * 8
    assert len(read("chexpert", root, lists="none").split("test")) == 4
    assert "none of their" not in " ".join(manifest.notes)
    with pytest.raises(DataError, match=r"lacks train_10\.txt, in it or in its sub-folder lists"):
        read("chexpert", root, lists="papers_10")
    with pytest.raises(DataError, match="needs data.labels=five"):
        read("chexpert", root, lists="papers", labels="all")


def test_chexpert_passes_over_lists_without_their_images(root):
    write_lists(root, root, with_val=False)
    for path in sorted((root / "test").rglob("*.jpg")):
        path.unlink()
    manifest = read("chexpert", root)
    assert any("official valid set is the test split" in note for note in manifest.notes)
    assert "The papers' lists in the folder were not used: none of their test images is there." in manifest.notes
    with pytest.raises(DataError, match=r"None of the images of .*test_list\.txt is in"):
        read("chexpert", root, lists="papers")
    edit(root / "train_1.txt", "1 0 1\n", "1 0 2\n")
    with pytest.raises(DataError, match=r"Line 1 of .*train_1\.txt must hold the path of an image and 5 labels"):
        read("chexpert", root, lists="papers_1")


def test_chexpert_uses_the_predecessors_lists(root):
    """There, training images are val and the official valid set is test; what is left of the table is train."""
    train, valid = "CheXpert-v1.0-small/train/patient00012/", "CheXpert-v1.0-small/valid/"
    films = ("study1/view1_frontal", "study1/view2_lateral", "study2/view1_frontal")
    (root / "val_list.txt").write_text("\n".join(f"{train}{film}.jpg 0 0 0 0 1" for film in films))
    (root / "test_list.txt").write_text(
        "\n".join(f"{valid}patient{64541 + number}/study1/view1_frontal.jpg 1 0 0 0 0" for number in range(4))
    )
    manifest = read("chexpert", root)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 33, "test": 4, "val": 3}
    assert counts_of(manifest, "val") == [0, 0, 0, 0, 3]
    assert counts_of(manifest, "test") == [4, 0, 0, 0, 0]
    asked = read("chexpert", root, test_set="valid")
    assert counts_of(asked, "test") == [4, 0, 4, 0, 0]
    assert not any("lists" in note for note in asked.notes)
    (root / "train_list.txt").write_text(f"{train}study1/view1_frontal.jpg 0 0 0 0 1\n")
    with pytest.raises(DataError, match="1 images are in two of the papers' lists, for example train/patient00012"):
        read("chexpert", root)
