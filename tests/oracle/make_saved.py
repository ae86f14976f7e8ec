"""Adapters of PEFT that carry whole modules (`modules_to_save`) beside low-rank updates: the small BERT (tiny/base) with its pooler and
its table of embeddings, the small causal Llama (causal_llama/base) with its table, its output layer and one linear layer a layer. The
modules are changed at random, as training would. Logits or log-probabilities, and the gradient of every trained parameter in float64."""

from common import GOLDEN, generator, randomise_adapter
from peft import LoraConfig, get_peft_model
from peft_adapters import bert, llama


def adapted(model, targets, saved, task, seed):
    config = LoraConfig(r=4, lora_alpha=12, target_modules=targets, modules_to_save=saved, task_type=task)
    model = get_peft_model(model, config).eval()
    randomise_adapter(model, seed)
    draw = generator(seed + 1)
    for name, parameter in sorted(model.named_parameters()):
        if "modules_to_save" in name and "classifier" not in name:
            parameter.add_(draw(*parameter.shape, std=0.05))
    return model


if __name__ == "__main__":
    modules = {"bert": ["pooler", "word_embeddings"], "llama": ["embed_tokens", "lm_head", "down_proj"]}
    bert(GOLDEN / "saved_bert", lambda base: adapted(base, ["query", "value"], modules["bert"], "SEQ_CLS", 70))
    llama(GOLDEN / "saved_llama", lambda base: adapted(base, ["q_proj", "v_proj"], modules["llama"], "CAUSAL_LM", 80))
