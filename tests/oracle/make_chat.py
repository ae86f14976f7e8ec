"""Conversations under chat templates of the kinds that are published, as transformers' apply_chat_template writes them, and the
tokens of a question with its answer: which of them are the answer, by the template's own {% generation %} marks (the golden
templates have them; a copy without them must say the same)."""

import json
import re

from common import ROOT
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

FIXTURES = ROOT / "daemon/tokenize/tests/fixtures"
SPECIAL = [
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>",
]  # fmt: skip

CHATML = """{%- if messages[0]['role'] == 'system' -%}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else -%}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif -%}
{% for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}{{- '\\n' }}
    {%- endif %}
{% endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA3 = """{% set loop_messages = messages %}{% for message in loop_messages %}{% set head = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' %}{% if loop.index0 == 0 %}{% set head = bos_token + head %}{% endif %}{{ head }}{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}{% else %}{{ message['content'] | trim + '<|eot_id|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""
LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{% generation %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endgeneration %}{% endif %}{% endfor %}"""
DEEPSEEK_LLM = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n\\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"""
DEEPSEEK_V3 = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}{%- if message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{{ '<｜Assistant｜>' }}{% generation %}{{ message['content'] + '<｜end▁of▁sentence｜>' }}{% endgeneration %}{%- endif %}{%- endfor -%}{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"""
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}

{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
TOOLS = """{{ bos_token }}{%- for key, value in {'b': [1, 'é<&>'], 'a': none}.items() %}{{ key }}={{ value | tojson }};{% endfor %}{% for message in messages %}{%- if loop.index > 2 %}{%- break %}{%- endif %}{{ message | tojson }} {{ message.content.split(' ')[0].upper() }}{% endfor %}"""
TEMPLATES = {
    "chatml": (CHATML, "<|im_start|>", "<|im_end|>"),
    "llama3": (LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "llama2": (LLAMA2, "<s>", "</s>"),
    "deepseek_llm": (DEEPSEEK_LLM, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "deepseek_v3": (DEEPSEEK_V3, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "zephyr": (ZEPHYR, "<s>", "</s>"),
    "tools": (TOOLS, "<s>", "</s>"),
}
MARKS = re.compile(r"\{% (end)?generation %\}")


def said(*contents, system=None):
    turns = [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * len(contents), contents)]
    return ([{"role": "system", "content": system}] if system else []) + turns


CONVERSATIONS = [
    said("What is an offer?"),
    said("何为要约？\n请简答。", "希望与他人订立合同的意思表示。"),
    said(" Is it binding? ", "Yes, <b>once</b> accepted & \"final\".", "为什么？", system="你是一名律师。"),
]
QUESTIONS = [
    ("What is an offer?", "A proposal to be bound."),
    ("何为要约？\n请简答。", "希望与他人订立合同的意思表示。😷"),
    ("Yes", "Yes"),
]


def main():
    folder = FIXTURES / "chat"
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer.from_file(str(FIXTURES / "byte_level/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    golden = []
    for name, (template, bos, eos) in TEMPLATES.items():
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)
        plain = MARKS.sub("", template)
        conversations = []
        for messages in CONVERSATIONS:
            for add in (False, True):
                text = fast.apply_chat_template(messages, chat_template=plain, tokenize=False, add_generation_prompt=add)
                conversations.append({"messages": messages, "add_generation_prompt": add, "text": text})
        instructions = []
        for question, answer in QUESTIONS if name != "tools" else []:
            found = fast.apply_chat_template(
                said(question, answer), chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
            )
            ids, mask = found["input_ids"], found["assistant_masks"]
            # What stands after the answer's end is not needed.
            end = len(mask) - mask[::-1].index(1)
            instructions.append({"question": question, "answer": answer, "ids": ids[:end], "mask": mask[:end]})
        golden.append(
            {"name": name, "marked": template, "template": plain, "bos_token": bos, "eos_token": eos}
            | {"conversations": conversations, "instructions": instructions}
        )
    (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
    print(f"{len(golden)} templates, {sum(len(g['instructions']) for g in golden)} instructions")


main()
