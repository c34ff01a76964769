"""Upload of preset folders, with local stand-ins for the hubs, and their model cards."""

import pytest

from cspdarknet import conversion, upload_preset
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.presets.upload import model_card
from support import assert_same_weights

pytestmark = pytest.mark.one_backend

URI = "hf://me/net"


def card_of(model, **changes):
    config = ModelConfig.from_arguments(model.get_config() | changes)
    return model_card(URI, config, {"parameter_count": model.count_params()})


class TestUpload:
    @pytest.fixture
    def converted(self, state_dict, tmp_path):
        conversion.convert(state_dict, tmp_path / "p")
        return tmp_path / "p"

    def test_hugging_face(self, converted, monkeypatch):
        hub = pytest.importorskip("huggingface_hub")
        calls = []
        monkeypatch.setattr(hub, "create_repo", lambda *a, **k: calls.append(("create", a, k)))
        monkeypatch.setattr(hub, "upload_folder", lambda **k: calls.append(("upload", k)))
        upload_preset(URI, converted)
        assert calls == [
            ("create", ("me/net",), {"exist_ok": True}),
            ("upload", {"repo_id": "me/net", "folder_path": str(converted)}),
        ]
        card = (converted / "README.md").read_text()
        assert card.startswith("---\nlibrary_name: keras\nlicense: other\n")
        assert f'from_preset("{URI}")' in card
        assert "[4, 6]" in card
        assert "a.pth" in card
        (converted / "README.md").write_text("my own card")
        upload_preset(URI, converted)
        assert (converted / "README.md").read_text() == "my own card"

    def test_kaggle_on_saving(self, backbone, monkeypatch, tmp_path):
        import kagglehub

        calls = []
        monkeypatch.setattr(kagglehub, "model_upload", lambda *a: calls.append(a))
        backbone.save_to_preset(tmp_path / "p", push_to="kaggle://me/net/keras/v")
        assert calls == [("me/net/keras/v", str(tmp_path / "p"))]
        assert_same_weights(CSPDarkNetBackbone.from_preset(tmp_path / "p"), backbone)

    def test_bad_addresses_and_folders(self, converted, tmp_path):
        with pytest.raises(ValueError, match="must begin with 'kaggle://' or 'hf://'"):
            upload_preset("s3://bucket", converted)
        with pytest.raises(ValueError, match="not a preset"):
            upload_preset(URI, tmp_path / "none")


class TestModelCard:
    def test_backbone(self, backbone):
        card = card_of(backbone)
        assert "pipeline_tag: image-feature-extraction\n" in card
        assert "- backbone\n" in card
        assert "classes" not in card
        assert f"| parameters | {backbone.count_params():,} |" in card
        assert 'feature_pyramid(["P3", "P4", "P5"])\n```\n' in card

    def test_classifier(self, classifier):
        card = card_of(classifier)
        assert "pipeline_tag: image-classification\n" in card
        assert "- classifier\n" in card
        assert "| classes | 3: cat, dog, owl |\n| trained on images of | 48 x 48 pixels |\n" in card
        assert "| channels of P2, P3, ... | [4, 6] |" in card
        code = card.split("```python\n")[1].split("```")[0]
        assert "import CSPDarkNetBackbone, ImageClassifier\n" in code
        assert f'ImageClassifier.from_preset("{URI}")\n' in code

    def test_without_names_or_size(self, classifier):
        card = card_of(classifier, class_names=None, image_size=None)
        assert "| classes | 3: not named |\n| channels" in card

    def test_detector(self):
        backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=False)
        card = card_of(YOLOXDetector(backbone, 2, class_names=["cell", "nucleus"], image_size=64))
        assert "pipeline_tag: object-detection\n" in card
        assert "- detector\n" in card
        assert "A YOLOX object detector" in card
        assert "| images are letterboxed to | 64 x 64 pixels |" in card
        assert "| classes | 2: cell, nucleus |" in card
        assert "| input | RGB image, 0..255 |" in card
        code = card.split("```python\n")[1].split("```")[0]
        assert f'detector = YOLOXDetector.from_preset("{URI}")\n' in code
        assert "ImageClassifier" not in card
