"""A network in three parts: a graph compiler takes the first and the last, the native op stays between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from fer_fast.models.network import mean_of_views, with_mirrored


@dataclass(frozen=True)
class Cut:
    """The whole network, of parts that `dataclasses.replace` may exchange for what a compiler made of them.

    Attributes:
        before: uint8 images [batch, height, width, 3] to maps, each contiguous [batch, height, width, channels]; as
            it is made, a module in eval mode.
        tokens: the images and their maps to tokens [batch, tokens, k]; it owns nothing of the other parts.
        after: tokens to the output, float32 [batch, ...]; as `before`.
        views: how many images are computed for each that is given: 2 where its mirror image counts too.
    """

    before: Callable[[Tensor], Sequence[Tensor]]
    tokens: nn.Module
    after: Callable[[Tensor], Tensor]
    views: int = 1

    def __call__(self, images: Tensor) -> Tensor:
        """Maps uint8 images [batch, height, width, 3] to the output, float32 [batch, ...]."""
        if self.views == 2:
            return mean_of_views(self._of_view(with_mirrored(images)))
        return self._of_view(images)

    def _of_view(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.tokens(images, self.before(images))
        return self.after(tokens)
