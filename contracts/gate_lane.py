"""The texts of the replies in a gate lane, which tell who wrote them.

The customers' model is paid for each call and takes a second or more: a gate's messages are answered by a
stub, after a delay that is set. The service has its own copies; a test holds the two equal.
"""

from __future__ import annotations

ASK_MODEL = "[ask the model] "
"""A message in the gate lane whose text begins so is written by whatever writes to customers."""

GATE_REPLY = "This is the gate's own reply: no model was asked."
"""What the stub writes."""

FALLBACK = "Thank you for your message. We cannot answer right now and will get back to you soon."
"""What is sent where the model does not answer."""

ACKNOWLEDGEMENT = "Thank you, your message has arrived. We will answer soon."
"""What is sent where there is no model, or no text."""
