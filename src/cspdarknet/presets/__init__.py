"""Named models: the built-in presets, and the resolution, loading, saving and upload of presets."""
