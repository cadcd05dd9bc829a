"""All kinds of heads that a config can name."""

import typing

from embodied_gen.blocks import HeadBlock


def kinds():
    """Blocks of heads by kind."""
    blocks = typing.get_args(typing.get_args(HeadBlock)[0])
    return {block.model_fields["kind"].default: block for block in blocks}
