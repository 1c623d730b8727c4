"""What is left out on purpose: the reasons are held against peft itself, so that a newer one is looked at again."""

import re

import peft
import pytest
import timm
import torch

from medpeft_core.errors import MethodError
from medpeft_core.methods import METHODS
from medpeft_core.methods.not_offered import NOT_OFFERED, check_offered

FOR_LANGUAGE = {
    "xlora": lambda: peft.XLoraConfig(hidden_size=64, adapters={}),
    "adaption_prompt": lambda: peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=2, task_type="CAUSAL_LM"),
    "prompt_tuning": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "multitask_prompt_tuning": lambda: peft.MultitaskPromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "prefix_tuning": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "p_tuning": lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "cpt": lambda: peft.CPTConfig(
        task_type="CAUSAL_LM", cpt_token_ids=[0], cpt_mask=[1], cpt_tokens_type_mask=[1]
    ),
    "cartridge": lambda: peft.CartridgeConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
}  # fmt: skip


def build(name="test_vit"):
    return timm.create_model(name, num_classes=3)


def test_not_offered_is_offered_by_nothing():
    assert not set(NOT_OFFERED) & set(METHODS.names())
    assert all(re.fullmatch(r"[a-z][^\n]*[^.]", reason) for reason in NOT_OFFERED.values())


@pytest.mark.parametrize("name", ["osf", "OSF", "trainable-tokens"])
def test_not_offered_is_refused_with_its_reason(name):
    with pytest.raises(MethodError, match="is not offered: .*`python -m medpeft_core methods` lists those that are"):
        check_offered(name)
    check_offered("lora")


@pytest.mark.parametrize("name", FOR_LANGUAGE)
def test_not_offered_asks_for_the_configuration_of_a_language_model(name):
    with pytest.raises(AttributeError, match="has no attribute 'config'"):
        peft.get_peft_model(build(), FOR_LANGUAGE[name]())


def test_not_offered_osf_trains_only_the_head_of_a_cnn():
    config = peft.OSFConfig(target_modules=["conv1", "conv2"], modules_to_save=["fc"])
    adapted = peft.get_peft_model(build("test_resnet"), config)
    assert {name.split(".")[2] for name, item in adapted.named_parameters() if item.requires_grad} == {"fc"}


def test_not_offered_osf_trains_more_than_half_of_a_linear_layer():
    model = build()
    size = sum(item.numel() for name, item in model.named_parameters() if name.endswith("qkv.weight"))
    adapted = peft.get_peft_model(model, peft.OSFConfig(target_modules=["qkv"]))
    trained = sum(item.numel() for name, item in adapted.named_parameters() if item.requires_grad)
    assert 0.5 * size < trained < size


def test_not_offered_poly_asks_for_tasks():
    adapted = peft.get_peft_model(build(), peft.PolyConfig(target_modules=["qkv"]))
    with pytest.raises(ValueError, match="task_ids"):
        adapted(torch.zeros(1, 3, 160, 160))


def test_not_offered_shadow_and_tokens_find_nothing():
    with pytest.raises(AttributeError, match="transformer backbone"):
        peft.get_peft_model(build(), peft.ShadowConfig())
    config = peft.TrainableTokensConfig(target_modules=["pos_embed"], token_indices=[0])
    with pytest.raises(ValueError, match="not found in the base model"):
        peft.get_peft_model(build(), config)
