// The tables behind convex/runbook.ts. Copy both files into the `convex/` folder of your project; if it has a
// schema already, add the three tables to it. docs/convex.md says the rest.

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export const outcome = v.union(
  v.literal("answered"),
  v.literal("failed"),
  v.literal("unknown"), // WAHA did not say whether the reply was sent
  v.literal("no_credit"),
  v.literal("stored"), // too old to be answered
);

export default defineSchema({
  // Accounts, in whole credits: one credit is one answered message.
  tenants: defineTable({
    tenant: v.string(),
    credits: v.union(v.number(), v.null()), // granted in all, used ones included; null: unlimited
    reserved: v.number(), // held by messages that have not ended, or whose outcome is unknown
    used: v.number(),
    ownerEmail: v.union(v.string(), v.null()),
  }).index("by_tenant", ["tenant"]),

  // Where each message stands. "reserved" and "unknown" hold a credit.
  ledger: defineTable({
    message: v.string(),
    tenant: v.string(),
    state: v.union(v.literal("reserved"), outcome),
  }).index("by_message", ["message"]),

  // The message log, with texts: one document each time that a message ended in another way than before.
  messages: defineTable({
    message: v.string(),
    tenant: v.string(),
    session: v.string(),
    chatId: v.string(),
    payloadId: v.string(),
    text: v.string(),
    reply: v.string(),
    outcome,
    receivedMs: v.number(), // since 1970
    endedMs: v.number(),
  })
    .index("by_message", ["message"])
    .index("by_tenant", ["tenant", "receivedMs"]),
});
