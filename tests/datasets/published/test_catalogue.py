"""The published data sets."""

import pytest

from torchtrack_uq.cli import main
from torchtrack_uq.datasets.published import catalogue
from torchtrack_uq.datasets.published.catalogue import CATALOGUE, find_dataset
from torchtrack_uq.errors import InputError


def test_the_catalogue_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(CATALOGUE) == 11
    for name, dataset in CATALOGUE.items():
        assert dataset.name == name
        assert dataset.terms
        assert (dataset.url is None) != (dataset.record is None)
        assert len(str(dataset.known_hash)) == len("sha256:") + 64
        if dataset.url:
            assert dataset.url == f"https://data.celltrackingchallenge.net/training-datasets/{name}.zip"
    with pytest.raises(InputError, match="expected one of BF-C2DL-HSC"):
        find_dataset("Fluo-N3DH-CE")
    assert main(["download", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "one-in-a-million" in listed
    assert catalogue.CTC_TERMS in listed
    assert main(["download"]) == 2
    assert "no data set was named" in capsys.readouterr().err
