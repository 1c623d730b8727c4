"""What EVA-X's models are, in timm's own words. Light; timm meets them in eva_x_models."""

from typing import Any

EVA_X_SIZE = 224
# hustvl/EVA-X, classification/utils/datasets.py
EVA_X_MEAN, EVA_X_STD = (0.49185243,) * 3, (0.28509309,) * 3
# hustvl/EVA-X, eva_x.py: patches of 16 pixels, positions for 14 x 14 of them. The projections of queries, keys and
# values are kept apart in every size: timm's fused one is not called as a layer, and adapters on it would do nothing.
EVA_X_ARGUMENTS: dict[str, Any] = {"patch_size": 16, "ref_feat_shape": (14, 14), "qkv_fused": False}
# name -> timm's name of the model that the arguments turn into it
EVA_X_MODELS = {
    "eva_x_tiny": "eva02_tiny_patch14_224",
    "eva_x_small": "eva02_small_patch14_224",
    "eva_x_base": "eva02_base_patch14_224",
}
