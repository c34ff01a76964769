"""Upload of preset and run folders, with local stand-ins for the hubs."""

import json
import shutil

import pytest
from PIL import Image

from cspdarknet import conversion, upload_preset
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.presets.upload import prepared_upload
from hub_server import Repository
from support import assert_same_weights

pytestmark = pytest.mark.one_backend

URI = "hf://me/net"
MODEL_FILES = {"README.md", "config.json", "metadata.json", "model.weights.h5"}


@pytest.fixture
def run(classifier_preset, tmp_path):
    """The run folder of a training, with pictures of its dataset beside those of its metrics."""
    folder = tmp_path / "run"
    shutil.copytree(classifier_preset, folder / "best")
    settings = {"task": "classification", "data": "/home/me/secret folder/owls", "splits": {}}
    (folder / "run.json").write_text(json.dumps(settings))
    (folder / "evaluation.json").write_text(json.dumps({"images": 9, "accuracy": 0.75}))
    (folder / "images.csv").write_text("train,/home/me/owl.jpg")
    for name in ("curves.png", "confusion.png", "mistakes.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    return folder


class TestHuggingFace:
    def test_a_preset_comes_back(self, hub, logged_in, state_dict, tmp_path):
        model = conversion.convert(state_dict, tmp_path / "p")
        address = upload_preset(URI, tmp_path / "p")
        repository = hub.repositories["me/net"]
        assert address == f"{URI}@{repository.refs['main']}"
        assert set(repository.commits[repository.refs["main"]]) == MODEL_FILES
        assert not repository.private
        assert not (tmp_path / "p" / "README.md").exists()
        for uri in (URI, address):
            assert_same_weights(CSPDarkNetBackbone.from_preset(uri), model)

    def test_a_run_without_images_of_its_dataset(self, hub, logged_in, run, classifier):
        upload_preset(URI, run, private=True)
        repository = hub.repositories["me/net"]
        assert repository.private
        files = repository.commits[repository.refs["main"]]
        assert set(files) == {*MODEL_FILES, "curves.png", "confusion.png"}
        card = files["README.md"].decode()
        assert "![Learning curves](curves.png)" in card
        assert "| dataset | owls |" in card
        assert "/home" not in card
        assert_same_weights(ImageClassifier.from_preset(URI), classifier)

    def test_a_public_repository_is_not_private(self, hub, logged_in, run):
        hub.repositories["me/net"] = repository = Repository()
        repository.commit({})
        with pytest.raises(ValueError, match=r"exists and is public\. Nothing was uploaded"):
            upload_preset(URI, run, private=True)
        assert len(repository.commits) == 1

    def test_without_a_login(self, hub, run):
        with pytest.raises(ValueError, match=r"needs a login .*401.*`hf auth login`"):
            upload_preset(URI, run)
        hub.repositories["me/net"] = repository = Repository()
        repository.commit({})
        with pytest.raises(ValueError, match=r"needs a login .*40[13].*`hf auth login`"):
            upload_preset(URI, run)
        hub.stop()
        with pytest.raises(ConnectionError, match=r"could not be uploaded .*run the same command"):
            upload_preset(URI, run)

    def test_a_card_that_the_hub_refuses(self, hub, logged_in, run):
        hub.card_errors = ["metadata is wrong"]
        with pytest.raises(ValueError, match=r"Hugging Face refuses .*metadata is wrong"):
            upload_preset(URI, run)


class TestKaggle:
    def test_on_saving(self, backbone, monkeypatch, tmp_path):
        import kagglehub

        uploads = []
        monkeypatch.setattr(
            kagglehub,
            "model_upload",
            lambda handle, folder: uploads.append((handle, CSPDarkNetBackbone.from_preset(folder))),
        )
        backbone.save_to_preset(tmp_path / "p", push_to="kaggle://me/net/keras/v")
        ((handle, uploaded),) = uploads
        assert handle == "me/net/keras/v"
        assert_same_weights(uploaded, backbone)

    def test_a_bad_handle(self, run):
        with pytest.raises(ValueError, match="Kaggle refuses the upload to kaggle://nonsense"):
            upload_preset("kaggle://nonsense", run)


class TestPreparation:
    def test_bad_addresses_and_folders(self, run, tmp_path):
        with pytest.raises(ValueError, match="must begin with 'kaggle://' or 'hf://'"):
            upload_preset("s3://bucket", run)
        for uri in (f"{URI}@v1", "hf://net"):
            with pytest.raises(ValueError, match="without a revision"):
                upload_preset(uri, run)
        with pytest.raises(ValueError, match=r"must be the run folder .*`cspdarknet convert MODEL"):
            upload_preset(URI, "yolox_nano_bccd")
        with pytest.raises(ValueError, match="not a preset"):
            upload_preset(URI, tmp_path)
        (run / "best" / "model.weights.h5").unlink()
        with pytest.raises(ValueError, match="must have weights"):
            upload_preset(URI, run)
        shutil.rmtree(run / "best")
        with pytest.raises(ValueError, match="no finished epoch"):
            upload_preset(URI, run)

    def test_examples_lose_the_metadata_of_the_photos(self, run, tmp_path):
        exif = Image.Exif()
        exif[0x010E] = "at home"
        for name in ("an owl.png", "big.jpg"):
            Image.new("RGB", (2000, 100), "red").save(tmp_path / name, exif=exif)
        (tmp_path / "big.png").write_bytes((tmp_path / "an owl.png").read_bytes())
        paths = [tmp_path / name for name in ("an owl.png", "big.jpg", "big.png")]
        with prepared_upload(URI, run, examples=paths) as upload:
            names = ["examples/an_owl.jpg", "examples/big-3.jpg", "examples/big.jpg"]
            assert [name for name in upload.files if "examples" in name] == names
            with Image.open(upload.folder / names[0]) as image:
                assert (image.size, dict(image.getexif())) == ((1280, 64), {})
            assert '  - src: "examples/an_owl.jpg"\n' in upload.card
        assert not upload.folder.exists()
        (tmp_path / "text.jpg").write_text("no image")
        with (
            pytest.raises(ValueError, match=r"text\.jpg"),
            prepared_upload(URI, run, examples=[tmp_path / "text.jpg"]),
        ):
            pass

    def test_the_files_of_a_preset_folder(self, preset):
        (preset / ".env").write_text("secret")
        (preset / "notes.txt").write_text("for all")
        (preset / "link.txt").symlink_to("/etc/hostname")
        (preset / "README.md").write_text("# My own card\n")
        with prepared_upload(URI, preset, license="MIT") as upload:
            assert set(upload.files) == {*MODEL_FILES, "notes.txt"}
            assert upload.card.endswith("---\n\n# My own card\n")
            assert 'license: "mit"' in upload.card
        (preset / "README.md").write_text("---\nlicense: mit\n---\nmine")
        with prepared_upload(URI, preset) as upload:
            assert upload.card == "---\nlicense: mit\n---\nmine"
        with pytest.raises(ValueError, match="write the license and examples there"):
            upload_preset(URI, preset, license="MIT")
