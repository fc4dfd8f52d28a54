"""Adam for parameters of which every number moves at every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class DenseAdam:
    """Adam with weight decay added to the gradient (Kingma & Ba, 2015), to the bit that of `torch.optim.Adam`.

    It is the step of that class without the class, whose first instance takes seconds to import a compiler.

    Args:
        parameters: what to optimise.
        weight_decay: the factor of each parameter in its own gradient.
    """

    def __init__(self, parameters: list[nn.Parameter], weight_decay: float) -> None:
        self._parameters, self._weight_decay = parameters, weight_decay
        self._states = [
            {
                "step": torch.zeros((), dtype=torch.float32, device=each.device),
                "exp_avg": torch.zeros_like(each, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(each, memory_format=torch.preserve_format),
            }
            for each in parameters
        ]

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Moves the parameters that have a gradient."""
        found = [
            (parameter, parameter.grad, *state.values())
            for parameter, state in zip(self._parameters, self._states, strict=True)
            if parameter.grad is not None
        ]
        parameters, gradients, steps, means, squares = ([each[n] for each in found] for n in range(5))
        adam(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=learning_rate,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """What a resumed training needs, by the number of a parameter and the name in `torch.optim.Adam`."""
        return {f"{number}/{key}": each for number, state in enumerate(self._states) for key, each in state.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what `state` gave.

        Raises:
            KeyError: it is the state of another optimiser.
        """
        known = self.state()
        if other := tensors.keys() ^ known.keys():
            raise KeyError(min(other))
        for key, state in known.items():
            state.copy_(tensors[key])
