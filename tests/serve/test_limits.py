"""Limits of the server."""

import pytest

from cspdarknet.serve import Limits

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_bytes": 0}, "`max_bytes` must"),
        ({"max_queue": 1.5}, "`max_queue` must"),
        ({"timeout": 0}, "`timeout` must"),
        ({"header_timeout": float("nan")}, "`header_timeout` must"),
        ({"max_pixels": 10**9}, "`max_pixels` must"),
        ({"max_bytes": 100, "max_body_memory": 99}, "`max_bytes` must be at most"),
        ({"max_images": 33, "max_queue": 32}, "`max_images` must be at most"),
    ],
)
def test_limits_are_positive_and_fit_each_other(given, message):
    with pytest.raises(ValueError, match=message):
        Limits(**given)
