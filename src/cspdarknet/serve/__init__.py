"""An HTTP server for models: requests of many clients, batched into one `Predictor` for each model.

Each name is imported on use. The server needs the extra `serve`.
"""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.serve.app import create_app
    from cspdarknet.serve.limits import Limits
    from cspdarknet.serve.models import ServedModel, load_models
    from cspdarknet.serve.server import run_server

__all__ = ["Limits", "ServedModel", "create_app", "load_models", "run_server"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "create_app": "app",
        "Limits": "limits",
        "ServedModel": "models",
        "load_models": "models",
        "run_server": "server",
    },
)
