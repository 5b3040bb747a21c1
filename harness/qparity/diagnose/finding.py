"""What was found out about a cell: `diagnosis/<cell>.json` (docs/architecture.md, "Diagnosis")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qparity.diagnose.bisect import GateFinding
from qparity.diagnose.escalate import Escalation
from qparity.diagnose.replay import Replay
from qparity.diagnose.walk import LayerFinding
from qparity.parity import Judgement
from qparity.parity.envelope import Envelope
from qparity.parity.setup import ExactFault
from qparity.parity.transplant import Transplant
from qparity.records.document import Table

SCHEMA = 1


@dataclass(frozen=True)
class Diagnosis:
    """Of one cell: its judgement, and what running its step again has shown.

    `story` is lines for people; `likeness` says which known mistake gives the numbers, where one does.
    """

    cell: str
    scenario: str
    variant: str
    created: str
    judgement: Judgement
    setup: Sequence[ExactFault]
    story: Sequence[str]
    replays: Sequence[Replay] = ()
    likeness: str = ""
    blame: str | None = None
    gates: GateFinding | None = None
    layer: LayerFinding | None = None
    escalation: Escalation | None = None
    envelope: Envelope | None = None
    transplant: Transplant | None = None

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {
            "schema": SCHEMA,
            "cell": self.cell,
            "scenario": self.scenario,
            "variant": self.variant,
            "created": self.created,
            "judgement": self.judgement.to_dict(),
            "setup": [
                {name: getattr(fault, name) for name in ("tensor", "step", "got", "expected", "reason")}
                for fault in self.setup
            ],
            "replays": [each.to_dict() for each in self.replays],
            "likeness": self.likeness,
            "blame": self.blame,
            **{name: _plain(getattr(self, name)) for name in ("gates", "layer", "escalation", "envelope")},
            "transplant": _plain(self.transplant),
            "story": list(self.story),
        }


def _plain(found: GateFinding | LayerFinding | Escalation | Envelope | Transplant | None) -> Table | None:
    return None if found is None else found.to_dict()
