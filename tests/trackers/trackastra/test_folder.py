"""Models in folders, as Trackastra saves them, and what importing it leaves behind."""

import gc
import logging
import os
import resource
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import yaml

from tests.support.transformer import MODEL, small_transformer
from torchtrack_uq import Detections, InputError, Movie, TrackastraTracker


class TestLoading:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "model").mkdir()
        transformer = small_transformer()
        torch.save(transformer.state_dict(), tmp_path / "model" / "model.pt")
        (tmp_path / "model" / "config.yaml").write_text(yaml.safe_dump(transformer.config))
        (tmp_path / "model" / "train_config.yaml").write_text(yaml.safe_dump({"features": "wrfeat"}))
        return tmp_path / "model"

    @pytest.mark.parametrize("as_type", [str, Path])
    def test_a_folder_a_trackastra_and_a_bare_transformer_give_the_same(
        self, folder: Path, crop: tuple[Movie, Detections], as_type: type
    ) -> None:
        _, cells = crop
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # Trackastra leaves its files open
            whole = MODEL.Trackastra.from_folder(folder, device="cpu")
            gc.collect()
        scores = [
            tracker.candidates(cells, progress=False).score.detach()
            for tracker in (
                TrackastraTracker.from_folder(as_type(folder), device="cpu"),
                TrackastraTracker(whole),
                TrackastraTracker(whole.transformer),
            )
        ]
        torch.testing.assert_close(scores[0], scores[1])
        torch.testing.assert_close(scores[0], scores[2])

    @pytest.mark.parametrize("name", ["config.yaml", "train_config.yaml", "model.pt"])
    def test_a_missing_file_is_named(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        with pytest.raises(InputError, match=f"holds no {name}"):
            TrackastraTracker.from_folder(folder)

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is no model folder"):
            TrackastraTracker.from_folder(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", ["config.yaml", "train_config.yaml", "model.pt"])
    @pytest.mark.parametrize("content", [b"", b"\x00\xff garbage: [", b"a: 1\n"])
    def test_a_damaged_file_is_one_clear_sentence(self, folder: Path, name: str, content: bytes) -> None:
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be loaded, its files are damaged or foreign"):
            TrackastraTracker.from_folder(folder)

    def test_a_truncated_checkpoint(self, folder: Path) -> None:
        content = (folder / "model.pt").read_bytes()
        (folder / "model.pt").write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match="cannot be loaded"):
            TrackastraTracker.from_folder(folder)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("num_encoder_layers", 10**9),
            ("num_decoder_layers", 3),
            ("d_model", 10**8),
            ("attn_positional_bias_n_spatial", 10**12),
            ("feat_dim", 10**7),
        ],
    )
    def test_a_configuration_of_another_model_is_refused_before_so_large_a_one_is_made(
        self, folder: Path, name: str, value: int
    ) -> None:
        self.changed(folder, {name: value})
        with pytest.raises(InputError, match=f"cannot be loaded, .*: config.yaml says {name} {value}"):
            TrackastraTracker.from_folder(folder)

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"d_model": 100_000}, "proj.weight"),
            ({"feat_dim": 2000, "pos_embed_per_dim": 90_000}, "proj.weight"),
            (
                {"attn_positional_bias": "bias", "window": 90_000, "attn_positional_bias_n_spatial": 90_000},
                "encoder.0.attn.pos_bias.bias",
            ),
        ],
    )
    def test_numbers_that_make_a_huge_model_together_are_refused_too(
        self, folder: Path, changes: dict[str, object], name: str
    ) -> None:
        self.changed(folder, changes)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(InputError, match=rf"config.yaml asks for {name} of shape \(.*\), but it is"):
            TrackastraTracker.from_folder(folder)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB

    @pytest.mark.parametrize("mode", ["v2", None, 3])
    def test_a_mode_that_trackastra_does_not_know_is_refused_when_the_folder_is_read(
        self, folder: Path, mode: object
    ) -> None:
        self.changed(folder, {"attn_dist_mode": mode})
        with pytest.raises(InputError, match=r"attn_dist_mode .*; expected v0 or v1"):
            TrackastraTracker.from_folder(folder)

    @pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
    def test_weights_that_are_no_floats_are_refused_and_not_cut_off(
        self, folder: Path, dtype: torch.dtype
    ) -> None:
        state = torch.load(folder / "model.pt", weights_only=True)
        state["proj.weight"] = state["proj.weight"].to(dtype)
        torch.save(state, folder / "model.pt")
        with pytest.raises(InputError, match=rf"proj\.weight holds {dtype}; expected floats"):
            TrackastraTracker.from_folder(folder)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            (
                {"causal_norm": "quiet"},
                r"causal_norm: 'quiet'; expected none, linear, softmax or quiet_softmax",
            ),
            ({"spatial_pos_cutoff": 0.001}, r"spatial_pos_cutoff: 0.001; expected a number of pixels from 1"),
            ({"spatial_pos_cutoff": float("inf")}, "spatial_pos_cutoff: inf; expected a number"),
            ({"spatial_pos_cutoff": float("nan")}, "spatial_pos_cutoff: nan; expected a number"),
            ({"dropout": 2}, "dropout"),
            ({"window": 1}, "window: 1; expected a whole number of frames, at least 2"),
        ],
    )
    def test_what_a_configuration_cannot_mean_is_refused(
        self, folder: Path, changes: dict[str, object], says: str
    ) -> None:
        self.changed(folder, changes)
        with pytest.raises(InputError, match=says):
            TrackastraTracker.from_folder(folder)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            (
                {"features": "patch"},
                r"says features: 'patch'; expected a model trained with 'wrfeat' or 'none'",
            ),
            ({"window": 5}, r"config.yaml says window: 3, but its train_config.yaml 5"),
            ({"without_common_motion": 1}, "says without_common_motion: '1'; expected true or false"),
            ({"takes_points": "yes"}, "says takes_points: 'yes'; expected true or false"),
            (
                {"usual_diameter": 1e-9, "usual_spacing": 30},
                "usual_diameter is '1e-09'; expected a positive number",
            ),
            ({"features": None}, "says features: 'None'; expected"),
        ],
    )
    def test_what_a_training_cannot_have_been_is_refused(
        self, folder: Path, changes: dict[str, object], says: str
    ) -> None:
        self.changed(folder, changes, "train_config.yaml")
        with pytest.raises(InputError, match=says):
            TrackastraTracker.from_folder(folder)

    @pytest.mark.parametrize(
        ("name", "says"),
        [("config.yaml", "holds no names with values"), ("train_config.yaml", "does not say which features")],
    )
    def test_an_empty_configuration_is_said_to_be_one(self, folder: Path, name: str, says: str) -> None:
        (folder / name).write_text("")
        with pytest.raises(InputError, match=says):
            TrackastraTracker.from_folder(folder)

    @staticmethod
    def changed(folder: Path, changes: dict[str, object], name: str = "config.yaml") -> None:
        config = yaml.safe_load((folder / name).read_text())
        (folder / name).write_text(yaml.safe_dump({**config, **changes}))

    def test_nan_weights(self, folder: Path) -> None:
        state = torch.load(folder / "model.pt", weights_only=True)
        state["proj.bias"][3] = torch.nan
        torch.save(state, folder / "model.pt")
        with pytest.raises(InputError, match=r"NaN or infinite weights, the first in proj\.bias"):
            TrackastraTracker.from_folder(folder)

    def test_unknown_published_model(self) -> None:
        with pytest.raises(InputError, match="published are ctc, general_2d"):
            TrackastraTracker.from_pretrained("general_4d")

    def test_no_network_is_one_clear_sentence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import requests

        def unreachable(*_: object, **__: object) -> None:
            raise requests.ConnectionError("no route to host")

        monkeypatch.setattr(requests, "get", unreachable)
        with pytest.raises(
            InputError, match=r"cannot be downloaded .* connect to the internet, or give a model folder"
        ):
            TrackastraTracker.from_pretrained("general_2d", download_dir=tmp_path)

    def test_from_pretrained_loads_what_was_downloaded(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "downloads" / "general_2d")
        tracker = TrackastraTracker.from_pretrained(
            "general_2d", device="cpu", download_dir=tmp_path / "downloads"
        )
        assert tracker.config["d_model"] == 32


def test_importing_trackastra_leaves_the_process_as_it_was() -> None:
    code = (
        "import os, logging, warnings\n"
        "before = dict(os.environ), list(logging.getLogger().handlers), logging.getLogger().level\n"
        "from torchtrack_uq.trackers.trackastra.folder import import_trackastra\n"
        "filters = list(warnings.filters)\n"
        "import_trackastra()\n"
        "assert before == (dict(os.environ), list(logging.getLogger().handlers), logging.getLogger().level)\n"
        "assert filters == list(warnings.filters)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_the_core_needs_neither_trackastra_nor_the_engine_torch() -> None:
    code = (
        "import sys\n"
        "import torchtrack_uq.assignment\n"
        "assert 'torch' not in sys.modules\n"
        "import torchtrack_uq.uncertain_tracker\n"
        "assert 'trackastra' not in sys.modules and 'gurobipy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_the_root_logger_has_no_handler_of_trackastra() -> None:
    assert not any(type(handler) is logging.StreamHandler for handler in logging.getLogger().handlers)


def test_a_model_is_saved_with_its_own_window(tmp_path: Path) -> None:
    TrackastraTracker(small_transformer()).save(tmp_path, {"window": 6, "takes_points": None})
    assert TrackastraTracker.from_folder(tmp_path).config["window"] == 3
