"""Published data sets that `torchtrack-uq download` knows: where they are, their hashes, their terms."""

from dataclasses import dataclass

from torchtrack_uq.errors import InputError

CTC_TERMS = (
    "Cell Tracking Challenge: download is open to anyone. Refer to Maška et al., Nature Methods 2023 "
    "(doi 10.1038/s41592-023-01879-y) and acknowledge the challenge as the source. Use for the challenge needs no "
    "consent; other public scientific use needs that of the data providers; commercial use needs that of organisers "
    "and providers. Conditions: https://celltrackingchallenge.net/datasets/"
)
ZENODO_TERMS = (
    "CC-BY 4.0: cite Seiffarth et al., Tracking one-in-a-million (arXiv:2411.00552), and the data, "
    "doi 10.5281/zenodo.7260137"
)
_CTC_URL = "https://data.celltrackingchallenge.net/training-datasets/{}.zip"
_CTC_HOME = "https://celltrackingchallenge.net/2d-datasets/"


@dataclass(frozen=True)
class PublishedDataset:
    """A data set in one ZIP archive.

    Attributes:
        name: What to call it; the folder that it is unpacked to.
        what: One line about it.
        terms: Terms of use.
        home: Page to look at.
        url: Where the archive is; None if `record` tells.
        known_hash: "sha256:..." or "md5:..." of the archive, None if none is known.
        record: URL of a Zenodo record's API entry, which lists names, sizes and hashes of its files; its hash goes
            before `known_hash`.
        file: Name of the archive in the record.
    """

    name: str
    what: str
    terms: str
    home: str
    url: str | None = None
    known_hash: str | None = None
    record: str | None = None
    file: str | None = None


# The challenge publishes no hashes; the SHA-256 here are those that torch_em checks its downloads with. They may be
# outdated where an archive was replaced since: then `--any-version` takes it all the same.
_CTC_2D = {
    "BF-C2DL-HSC": (
        "mouse hematopoietic stem cells, bright field",
        "0aa68ec37a9b06e72a5dfa07d809f56e1775157fb674bb75ff904936149657b1",
    ),
    "BF-C2DL-MuSC": (
        "mouse muscle stem cells, bright field",
        "ca72b59042809120578a198ba236e5ed3504dd6a122ef969428b7c64f0a5e67d",
    ),
    "DIC-C2DH-HeLa": (
        "HeLa cells, differential interference contrast",
        "832fed2d05bb7488cf9c51a2994b75f8f3f53b3c3098856211f2d39023c34e1a",
    ),
    "Fluo-C2DL-Huh7": (
        "human hepatocarcinoma cells, fluorescence",
        "1912658c1b3d8b38b314eb658b559e7b39c256917150e9b3dd8bfdc77347617d",
    ),
    "Fluo-C2DL-MSC": (
        "rat mesenchymal stem cells, fluorescence",
        "a083521f0cb673ae02d4957c5e6580c2e021943ef88101f6a2f61b944d671af2",
    ),
    "Fluo-N2DH-GOWT1": (
        "nuclei of mouse stem cells, fluorescence",
        "1a7bd9a7d1d10c4122c7782427b437246fb69cc3322a975485c04e206f64fc2c",
    ),
    "Fluo-N2DH-SIM+": (
        "simulated nuclei, fluorescence",
        "3e809148c87ace80c72f563b56c35e0d9448dcdeb461a09c83f61e93f5e40ec8",
    ),
    "Fluo-N2DL-HeLa": (
        "nuclei of HeLa cells, fluorescence",
        "35dd99d58e071aba0b03880128d920bd1c063783cc280f9531fbdc5be614c82e",
    ),
    "PhC-C2DH-U373": (
        "glioblastoma-astrocytoma cells, phase contrast",
        "b18185c18fce54e8eeb93e4bbb9b201d757add9409bbf2283b8114185a11bc9e",
    ),
    "PhC-C2DL-PSC": (
        "pancreatic stem cells, phase contrast",
        "9d54bb8febc8798934a21bf92e05d92f5e8557c87e28834b2832591cdda78422",
    ),
}

CATALOGUE: dict[str, PublishedDataset] = {
    name: PublishedDataset(
        name=name,
        what=what,
        terms=CTC_TERMS,
        home=_CTC_HOME,
        url=_CTC_URL.format(name),
        known_hash=f"sha256:{sha256}",
    )
    for name, (what, sha256) in _CTC_2D.items()
}
CATALOGUE["one-in-a-million"] = PublishedDataset(
    name="one-in-a-million",
    what="colonies of C. glutamicum, phase contrast: 1.4 million cells",
    terms=ZENODO_TERMS,
    home="https://zenodo.org/records/7260137",
    known_hash="sha256:9ec73277b29f2b032037d9e07c73c428ff51456c23a5866bf214bf5a71590c31",
    record="https://zenodo.org/api/records/7260137",
    file="ctc_format.zip",
)


def find_dataset(name: str) -> PublishedDataset:
    """A data set by its name, in any case.

    Raises:
        InputError: There is none of that name; the message lists them.

    >>> find_dataset("fluo-n2dl-hela").name
    'Fluo-N2DL-HeLa'
    """
    for known, dataset in CATALOGUE.items():
        if known.lower() == name.lower():
            return dataset
    raise InputError(f"data set {name!r} is unknown; expected one of {', '.join(CATALOGUE)}")
