"""What `pulumi up` runs."""

import pulumi
import stamina

from contracts.targets import TargetsError
from infra.errors import Refused
from infra.program import deploy
from infra.stack_config import for_this_stack

stamina.instrumentation.set_on_retry_hooks([])  # it would warn the operator of each retry, as a library does
try:
    deploy()
except (Refused, TargetsError, pulumi.RunError) as refusal:
    raise pulumi.RunError(for_this_stack(str(refusal))) from None
