"""What the files of others' encoders say and xlret cannot do is refused in one line that names the key."""

import json
from pathlib import Path

import pytest
import torch
from layouts import ABOUT, OPTIONS, Change, add_dense, change_module, edit, write
from safetensors.torch import save_file

from xlret.errors import UserError
from xlret.model.encoder import Encoder

REFUSED: dict[str, tuple[Change, str]] = {
    "somebody's own class": (
        lambda at: change_module(at, 0, type="custom_st.Transformer"),
        r"modules\.json: .*custom_st\.Transf",
    ),
    "somebody's own package": (
        lambda at: change_module(at, 1, type="my.sentence_transformers.models.Pooling"),
        r"modules\.json: .*my\.sentence_transformers\.models\.Pooling",
    ),
    "a class of another name": (
        lambda at: change_module(at, 1, type="sentence_transformers.models.WeightedLayerPooling"),
        "WeightedLayerPooling",
    ),
    "a path above": (
        lambda at: change_module(at, 1, path="../other/1_Pooling"),
        r"modules\.json: path .* leaves the directory",
    ),
    "a path inside and out": (lambda at: change_module(at, 1, path="1_Pooling/../../x"), "leaves the directory"),
    "a path from the root": (lambda at: change_module(at, 0, path="/etc"), "leaves the directory"),
    "a path of Windows": (lambda at: change_module(at, 0, path="..\\x"), "leaves the directory"),
    "code of the model's own": (
        lambda at: edit(at / "config.json", auto_map={"AutoModel": "modeling_x.XModel"}),
        r"theirs/config\.json: auto_map",
    ),
    "code of the tokenizer's own": (
        lambda at: edit(at / "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.X", None]}),
        r"tokenizer_config\.json: auto_map",
    ),
    "an adapter": (lambda at: write(at / "adapter_config.json", {"peft_type": "LORA"}), "adapter_config"),
    "truncate_dim": (lambda at: write(at / ABOUT, {"truncate_dim": 8}), rf"{ABOUT}: truncate_dim is 8"),
    "a default that is not there": (lambda at: write(at / ABOUT, {"default_prompt_name": "x"}), "default_prompt_name is 'x'"),
    "a default of the other side": (
        lambda at: write(at / ABOUT, {"prompts": {"query": "ask : "}, "default_prompt_name": "query"}),
        f"{ABOUT}: default_prompt_name is 'query', and there is no prompt of passages; say passage_prompt",
    ),
    "a prompt that is no text": (lambda at: write(at / ABOUT, {"prompts": {"query": 7}}), r"prompts\.query is 7"),
    "another similarity": (
        lambda at: write(at / ABOUT, {"similarity_fn_name": "manhattan"}),
        "similarity_fn_name is 'manhattan'",
    ),
    "dot products of vectors of any length": (
        lambda at: (
            write(at / "modules.json", json.loads((at / "modules.json").read_text())[:2]),
            write(at / ABOUT, {"similarity_fn_name": "dot"}),
        ),
        "similarity_fn_name is 'dot' of vectors that are not normalised",
    ),
    "a sparse encoder": (lambda at: write(at / ABOUT, {"model_type": "SparseEncoder"}), "model_type is 'SparseEncoder'"),
    "an option that is not known": (lambda at: write(at / OPTIONS, {"warp": 1}), rf"{OPTIONS}: warp is an option"),
    "an option under another file's name": (lambda at: write(at / "sentence_xlnet_config.json", {"warp": 1}), "xlnet.*warp"),
    "arguments of the tokenizer": (
        lambda at: write(at / OPTIONS, {"tokenizer_args": {"do_lower_case": True}}),
        r"tokenizer_args\.do_lower_case is not supported",
    ),
    "arguments of the model": (
        lambda at: write(at / OPTIONS, {"model_kwargs": {"num_layers": 1}}),
        r"model_kwargs\.num_layers",
    ),
    "another task": (lambda at: write(at / OPTIONS, {"transformer_task": "fill-mask"}), "transformer_task is 'fill-mask'"),
    "another output": (
        lambda at: write(at / OPTIONS, {"modality_config": {"text": {"method_output_name": "pooler_output"}}}),
        "pooler_output",
    ),
    "another method": (
        lambda at: write(at / OPTIONS, {"modality_config": {"text": {"method": "get_text_features"}}}),
        r"modality_config\.text\.method is 'get_text_features'",
    ),
    "a limit that is no number": (lambda at: write(at / OPTIONS, {"max_seq_length": "32"}), "max_seq_length is '32'"),
    "a limit too short": (lambda at: write(at / OPTIONS, {"max_seq_length": 2}), "max_seq_length is 2"),
    "lower case that is no yes or no": (lambda at: write(at / OPTIONS, {"do_lower_case": "no"}), "do_lower_case is 'no'"),
    "options that are no object": (lambda at: write(at / OPTIONS, [1]), "not of sentence-transformers' form"),
    "two ways of pooling": (
        lambda at: edit(at / "1_Pooling/config.json", pooling_mode_cls_token=True),
        r"1_Pooling/config\.json: pooling",
    ),
    "weighted mean": (
        lambda at: edit(at / "1_Pooling/config.json", pooling_mode="weightedmean"),
        "weightedmean is not supported",
    ),
    "pooling without the prompt": (lambda at: edit(at / "1_Pooling/config.json", include_prompt=False), "include_prompt"),
    "an option of pooling": (lambda at: edit(at / "1_Pooling/config.json", warp=1), r"1_Pooling/config\.json: warp"),
    "an activation of that name": (
        lambda at: add_dense(at, activation_function="mine.Tanh"),
        r"2_Dense/config\.json: activation_function mine\.Tanh",
    ),
    "a dense layer of tokens": (lambda at: add_dense(at, module_input_name="token_embeddings"), "module_input_name"),
    "a dense layer of another size": (
        lambda at: (
            add_dense(at, in_features=8),
            save_file({"linear.weight": torch.ones(8, 8), "linear.bias": torch.ones(8)}, at / "2_Dense/model.safetensors"),
        ),
        "in_features is 8, and the transformer's vectors have 16",
    ),
    "another thing to normalise": (
        lambda at: write(at / "2_Normalize/config.json", {"module_input_name": "token_embeddings"}),
        r"2_Normalize/config\.json: module_input_name",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(theirs: Path, case: str) -> None:
    change, message = REFUSED[case]
    change(theirs)
    with pytest.raises(UserError, match=message) as refusal:
        Encoder.load(theirs)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"hidden_size": "x"}),
        ("config.json", {"vocab_size": None}),
        ("config.json", {"dtype": []}),
        ("config.json", {"max_position_embeddings": -1}),
        ("config.json", {"model_type": 7}),
        ("tokenizer.json", {"model": {}}),
        ("tokenizer.json", {"version": 0}),
        ("tokenizer.json", {"post_processor": 7}),
        ("tokenizer.json", {"truncation": {}}),
    ],
)
def test_damaged_files_are_one_line(theirs: Path, file: str, values: dict[str, object]) -> None:
    edit(theirs / file, **values)
    with pytest.raises(UserError, match=r"cannot load the (encoder|tokenizer) in .*theirs: .") as refusal:
        Encoder.load(theirs)
    assert "\n" not in str(refusal.value)
