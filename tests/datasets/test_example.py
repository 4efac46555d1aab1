import tifffile

from torchtrack_uq.datasets.example import hela_example


def test_the_example_movie_is_there() -> None:
    for file in hela_example():
        with tifffile.TiffFile(file) as tif:
            assert tif.series[0].shape == (20, 700, 1100)
