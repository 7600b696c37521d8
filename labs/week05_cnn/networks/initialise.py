"""Starting weights for networks with ReLU-like activations."""

from __future__ import annotations

from torch import nn


def he_normal(network: nn.Module) -> None:
    """Draw the weights so that signals neither grow nor die with depth.

    Convolutions: normal with variance 2 / fan_out, which keeps the variance of the gradients
    from layer to layer when half of the units are off (He et al. 2015, "Delving Deep into
    Rectifiers", section 2.2, equation 14). Linear layers: normal(0, 0.01), biases 0, so that
    a new head starts near equal probabilities.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            nn.init.zeros_(module.bias)
