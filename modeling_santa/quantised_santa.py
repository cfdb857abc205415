"""Round weights to 8 or 4 bits, for inference on a CPU.

Few rows go through torch's kernels for such weights, in bfloat16 whatever the model's dtype: in float32 they are up to
fifteen times slower (AVX2, one row, 8192 x 2048: 41.4 against 2.7 ms with 4 bits, 19.6 against 2.2 with 8). Many rows
are multiplied with the exact weight if it was kept, else with the rounded one, widened block by block: to bfloat16 where
the model has it and this CPU multiplies it fast, else to float32.
"""

import torch
from torch import nn

from .capabilities_santa import (
    has_fast_bf16,
    has_fast_mkl,
    int4_group,
    int4_layout,
    int4_packed,
    int4_product,
    int8_product,
    why_not,
)
from .linear_santa import BLOCK, SantaLinear, linear
from .packed_santa import OptimisedLinear, PackedLinear, frozen_linear

ROWS_AT_ONCE = 1024  # rows of a weight that are rounded at once, so that little memory is needed beside it
LET_GO = (
    "optimize_for_cpu: the exact weights were let go (keep_exact=False), so they can be neither restored nor saved. "
    "Load the checkpoint again."
)


class QuantisedLinear(OptimisedLinear):
    """A layer that multiplies few rows by a kernel for rounded weights, and more in another way."""

    most_rows: dict[str, int]  # by the kernel, if the exact weight is "packed", "dense", or the rounded one "alone"
    rounded_weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, dense: nn.Linear, *, keep_exact: bool = True) -> None:
        super().__init__(dense)
        weight = dense.weight.detach()
        parts = [self.rounded(rows) for rows in torch.split(weight, ROWS_AT_ONCE)]
        self.register_buffer("rounded_weight", torch.cat([steps for steps, _ in parts]), persistent=False)
        self.register_buffer(
            "scales",
            torch.cat([scales for _, scales in parts], dim=-1 if parts[0][1].dim() == 1 else 1),
            persistent=False,
        )
        self.exact: tuple[PackedLinear | SantaLinear, ...] = ()  # in a tuple, so that it is not a module of its own
        if keep_exact:
            self.exact = (
                PackedLinear(dense) if why_not("packed", self.dtype) is None else frozen_linear(weight, dense.bias),
            )

    def product(self, x: torch.Tensor, *, fused_gelu: bool) -> torch.Tensor:
        """Return x @ weight.T + bias, through a tanh-GELU if asked."""
        is_few = x.numel() <= self.most_rows[self.exact_form()] * self.in_features
        if self.exact and not is_few:
            y: torch.Tensor = self.exact[0](x, fused_gelu=fused_gelu)
            return y
        flat = x.reshape(-1, self.in_features)
        if is_few:
            y = self.few_rows(flat.bfloat16().contiguous())
        else:
            y = self.many_rows(flat if x.dtype == torch.bfloat16 and has_fast_bf16() else flat.float())
        if self.bias is not None:
            y = y.add_(self.bias) if y.dtype == torch.float32 else y + self.bias
        if fused_gelu:
            y = nn.functional.gelu(y, approximate="tanh")
        return y.to(x.dtype).view(*x.shape[:-1], self.out_features)

    def few_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ rounded.T for a bfloat16 matrix, by the kernel."""
        raise NotImplementedError

    def many_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ rounded.T for a matrix, block by block in its dtype."""
        raise NotImplementedError

    @staticmethod
    def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows of a weight rounded, in the kernel's form, and their scales in bfloat16."""
        raise NotImplementedError

    def dense_weight(self) -> torch.Tensor:
        """Return the exact weight (out, in), every bit as it was.

        Raises:
            RuntimeError: it was not kept.
        """
        self.check_exact()
        exact = self.exact[0]
        return exact.dense_weight() if isinstance(exact, PackedLinear) else exact.weight.detach()

    def exact_form(self) -> str:
        """Return how the exact weight is held: "packed", "dense", or not at all, "alone"."""
        if not self.exact:
            return "alone"
        return "packed" if isinstance(self.exact[0], PackedLinear) else "dense"

    def check_exact(self) -> None:
        """Raise RuntimeError if the exact weight was not kept."""
        if not self.exact:
            raise RuntimeError(LET_GO)

    def held_bytes(self) -> int:
        """Return the bytes of the weight that are neither parameters nor buffers; a tied one is the embedding's."""
        is_shared = self.is_tied and self.exact_form() == "dense"
        return 0 if is_shared or not self.exact else self.in_features * self.out_features * self.dtype.itemsize


class Int8Linear(QuantisedLinear):
    """Weights of 8 bits, with a scale for each output."""

    most_rows = {"packed": 4, "dense": 8, "alone": 8}

    @staticmethod
    def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows of a weight rounded, in the kernel's form, and their scales in bfloat16."""
        scales = _scales(weight.float().abs().amax(dim=1), 127)
        steps = (weight.float() / scales.float()[:, None]).round_().clamp_(-127, 127)
        return steps.to(torch.int8), scales

    def few_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ rounded.T for a bfloat16 matrix, by the kernel."""
        return int8_product(x, self.rounded_weight, self.scales)

    def many_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ rounded.T for a matrix, block by block in its dtype."""
        y = x.new_empty(len(x), self.out_features)
        count = max(1, _block(x) // self.in_features)
        room = x.new_empty(min(count, self.out_features), self.in_features)
        for start in range(0, self.out_features, count):
            steps = self.rounded_weight[start : start + count]
            y[:, start : start + count] = linear(x, room[: len(steps)].copy_(steps), None)
        return y.mul_(self.scales)

    def lookup(self, ids: torch.Tensor) -> torch.Tensor:
        """Return rows of the rounded weight, in the layer's dtype."""
        return (self.rounded_weight[ids].float() * self.scales[ids].float().unsqueeze(-1)).to(self.dtype)


class Int4Linear(QuantisedLinear):
    """Weights of 4 bits, with a scale and a zero for each 64 inputs of an output, or 32 where 64 do not divide them."""

    most_rows = {"packed": 8, "dense": 16, "alone": 64}

    @staticmethod
    def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows of a weight rounded, in the kernel's form, and their scales and zeros in bfloat16."""
        groups = weight.float().view(len(weight), -1, int4_group(weight.shape[1]))
        low, high = groups.amin(-1), groups.amax(-1)
        scales = _scales(high - low, 15)
        zeros = (low + 8 * scales.float()).bfloat16()
        # The kernel reads (step - 8) * scale + zero, group by group.
        steps = (groups - zeros.float()[..., None]) / scales.float()[..., None] + 8
        packed = int4_packed(steps.round_().clamp_(0, 15).flatten(1))
        return packed, torch.stack([scales, zeros], dim=-1).transpose(0, 1).contiguous()

    def few_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ rounded.T for a bfloat16 matrix, by the kernel."""
        return int4_product(x, self.rounded_weight, self.scales)

    def many_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ rounded.T for a matrix, block by block in its dtype."""
        found = int4_layout()
        if found is None or self.out_features % found[0]:
            return torch.cat(
                [self.few_rows(part) for part in torch.split(x.bfloat16(), self.most_rows["alone"])]
            ).float()
        size, is_halved = found
        groups, width = len(self.scales), self.in_features
        blocks = self.rounded_weight.view(-1, width, size // 2)
        scales, zeros = self.scales.permute(2, 0, 1).float().unsqueeze(2).contiguous()  # (groups, 1, outputs)
        zeros.sub_(scales, alpha=8)  # the kernel reads (step - 8) * scale + zero
        count = min(len(blocks), max(1, _block(x) // width // size))
        half = torch.empty_like(blocks[:count])
        room = torch.empty(count * size * width, device=x.device)
        y = x.new_empty(len(x), self.out_features)
        for at in range(0, len(blocks), count):
            part = blocks[at : at + count]
            n = len(part)
            columns = slice(at * size, (at + n) * size)
            wide = room[: width * n * size]  # inputs by outputs, so that each pass runs along many numbers
            steps = wide.view(width, n, *((2, size // 2) if is_halved else (size // 2, 2)))
            low, high = steps.unbind(2 if is_halved else 3)
            low.copy_(torch.bitwise_and(part, 15, out=half[:n]).transpose(0, 1))
            high.copy_(torch.bitwise_right_shift(part, 4, out=half[:n]).transpose(0, 1))
            grouped = wide.view(groups, -1, n * size)
            torch.addcmul(zeros[:, :, columns], grouped, scales[:, :, columns], out=grouped)
            weight = wide.view(width, n * size).to(x.dtype)
            if x.dtype == torch.float32 and not has_fast_mkl():
                # oneDNN wants the rows of a weight; with the turning it is 1.6 times as fast as MKL on AMD Zen 5.
                y[:, columns] = linear(x, weight.T.contiguous(), None)
            else:
                y[:, columns] = x @ weight
        return y


class QuantisedEmbedding(nn.Module):
    """A token embedding that reads the rows of an Int8Linear head, with which it shares its memory."""

    def __init__(self, head: Int8Linear) -> None:
        super().__init__()
        self.head = (head,)  # in a tuple, so that it is not a module of its own
        self.num_embeddings, self.embedding_dim = head.out_features, head.in_features

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings (…, width) of ids (…)."""
        return self.head[0].lookup(input_ids)


def kind_for(mode: str, layer: nn.Linear, *, is_head: bool) -> type[QuantisedLinear] | None:
    """Return the class for a layer, None where the kernels take no weight of its shape.

    An embedding that shares the head's memory is read row by row, which 8 bits allow; and the head bears rounding least.
    """
    if layer.in_features % 32 or layer.out_features % 16:
        return None
    if mode == "int8" or is_head or layer.out_features % 64:
        return Int8Linear
    return Int4Linear


def _block(x: torch.Tensor) -> int:
    """Return how many numbers of a weight to widen at once: for many rows a product of more outputs is faster."""
    return BLOCK if len(x) < 256 else 2 * BLOCK


def _scales(spans: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the size of a step in bfloat16, which the kernels read; the steps are counted with it, not a finer one."""
    return (spans / steps).clamp(min=torch.finfo(torch.bfloat16).tiny * steps).bfloat16()
