"""Prompts that a model cannot tell from one another have no guidance to measure: they are refused, or it is said."""

import pytest
from tiny import tiny

from chroma import models
from chroma.prompts import check_distinguishable
from chroma.recipes import RECIPES


@pytest.fixture(scope="module")
def emoji():
    return models.load("emoji-8")


def test_prompts_of_known_words_need_no_remark(emoji):
    assert check_distinguishable(emoji, ["a line drawing of owl", "a flat drawing of ox"]) == []
    assert check_distinguishable(tiny("StableDiffusionPipeline"), ["a", "b", "a b"]) == []


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (["quokka wombat"], "prompts must be texts that the model can read; got 'quokka wombat', of which it knows no"),
        (
            ["a line drawing of quokka", "a line drawing of wombat"],
            "cannot distinguish from 'a line drawing of quokka'",
        ),
        (["a line drawing of owl", "A line drawing of OWL"], "cannot distinguish from 'a line drawing of owl'"),
        (["a line drawing of owl", ""], "got '', which it cannot distinguish from no prompt"),
        (["a " * 80 + "owl", "a " * 80 + "ox"], "which it cannot distinguish from 'a a a"),
        (["猫"], "of which it knows no word"),
    ],
)
def test_prompts_that_the_model_cannot_distinguish_are_refused(emoji, prompts, words):
    with pytest.raises(ValueError, match=words):
        check_distinguishable(emoji, prompts)


def test_what_the_model_does_not_read_of_a_prompt_is_listed(emoji):
    notes = check_distinguishable(emoji, ["a line drawing of striped owl", "a " * 90 + "owl"])
    assert notes[0] == "the model does not know 'striped' in the prompt 'a line drawing of striped owl'"
    assert "does not read the end of the prompt 'a a a" in notes[1] and len(notes) == 2


def test_a_second_text_encoder_may_read_what_the_first_does_not():
    long = "a " * 90 + "b"
    assert check_distinguishable(tiny("FluxPipeline"), [long]) == []  # its T5 reads 512 tokens
    assert "does not read the end" in check_distinguishable(tiny("StableDiffusionXLPipeline"), [long])[0]


def test_models_without_prompts_or_without_words_in_training_are_refused():
    with pytest.raises(ValueError, match="pipe must be one that takes prompts: without them there is no guidance"):
        check_distinguishable(tiny("DDPMPipeline"), ["a", "b"])
    from chroma.networks import build_pipeline

    with pytest.raises(ValueError, match="'an owl', of which it knows no word"):
        check_distinguishable(build_pipeline(RECIPES["emoji-8"], ["", ""]), ["an owl"])
