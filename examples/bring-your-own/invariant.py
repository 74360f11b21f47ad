"""A small network of one's own: SchNet's continuous-filter convolutions in plain PyTorch, on distances alone.

Schütt, Sauceda, Kindermans, Tkatchenko, Müller, J. Chem. Phys. 148, 241722 (2018). LAMMPS asks for nothing but
`forward`, from a graph to the energy of each atom; forces and virials come from its derivative by `rij`.
"""

import torch
from torch import nn

ELEMENTS = ["O", "H"]
CUTOFF = 4.0  # Å
NUM_INTERACTIONS = 2  # message passings: an atom's energy depends on atoms up to so many edges away


class Interaction(nn.Module):
    """Each atom gathers its neighbors' features, weighed by a function of their distance."""

    def __init__(self, channels: int, radial: int) -> None:
        super().__init__()
        self.source = nn.Linear(channels, channels, bias=False)
        self.filter = nn.Linear(radial, channels, bias=False)
        self.update = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(
        self, x: torch.Tensor, basis: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor
    ) -> torch.Tensor:
        message = self.filter(basis) * self.source(x)[neighbor]
        return x + self.update(torch.zeros_like(x).index_add(0, center, message))


class Invariant(nn.Module):
    """Energies in eV of each atom of a graph."""

    def __init__(self, channels: int = 16, radial: int = 8) -> None:
        super().__init__()
        self.cutoff = CUTOFF  # TorchScript sees attributes, no global variables
        self.embedding = nn.Embedding(len(ELEMENTS), channels)
        self.interactions = nn.ModuleList(Interaction(channels, radial) for _ in range(NUM_INTERACTIONS))
        self.readout = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 1))
        # a buffer is cast to the precision of the run and goes to its device, as parameters do
        self.register_buffer("frequency", torch.pi / CUTOFF * torch.arange(1, radial + 1))

    def forward(
        self, element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
    ) -> torch.Tensor:
        d = torch.sqrt((rij * rij).sum(1, keepdim=True))
        y = d / self.cutoff
        # 1 at zero, 0 at the cutoff with two derivatives that vanish: energies and forces are smooth there
        envelope = 1.0 - 10.0 * y**3 + 15.0 * y**4 - 6.0 * y**5
        basis = envelope * torch.sin(self.frequency * d) / d
        x = self.embedding(element)
        for interaction in self.interactions:
            x = interaction(x, basis, center, neighbor)
        # softly repulsive, so that this network without any training holds atoms apart
        repulsion = torch.zeros_like(x[:, 0]).index_add(0, center, 0.5 * (envelope * torch.exp(3.0 - 3.0 * d))[:, 0])
        return 0.1 * self.readout(x)[:, 0] + repulsion


def model() -> nn.Module:
    """The network with the weights that the file shall have. These are random; yours are loaded from a checkpoint."""
    torch.manual_seed(1)
    return Invariant()
