"""All kinds of heads that a config can name, and of their parts."""

import typing

from embodied_gen.blocks import HeadBlock

# What a head of another event than trajectories says of them.
OF_OTHER_EVENTS = {
    **dict.fromkeys(("hopfield", "boltzmann", "rbm", "belief"), "need a Binary event; .* Set event.kind to binary"),
    **dict.fromkeys(("pixelcnn", "crf", "chain_crf", "chain_margin", "cellwise"), "predicts label maps"),
    **dict.fromkeys(("max_ent", "margin", "learch"), "predicts paths over a map"),
    "polygon": "predicts polygons",
    "recurrent_attention": "predicts instance maps",
}


def kinds(union=HeadBlock):
    """Blocks of a union by kind; of heads where none is named."""
    blocks = typing.get_args(typing.get_args(union)[0])
    return {block.model_fields["kind"].default: block for block in blocks}
