"""What a run leaves the lab in: formats that others open. The specs are light; what they name to write is heavy."""

from medpeft_core.exports import formats  # noqa: F401  (fills the registry)
from medpeft_core.exports.spec import EXPORTS, ExportOptions, ExportSpec

__all__ = ["EXPORTS", "ExportOptions", "ExportSpec"]
