// Tenants, credits and the message log of the WhatsApp assistant, as its service calls them. Each function runs as
// one transaction and may be called again: the same call changes nothing twice.
//
// All are internal: only a caller with the deploy key can reach them (CONVEX_DEPLOY_KEY of the service). Public
// ones could be called by everybody who knows the deployment's URL, and that stands in every browser.

import { v } from "convex/values";
import type { Doc } from "./_generated/dataModel";
import { internalMutation, internalQuery, type MutationCtx, type QueryCtx } from "./_generated/server";
import { outcome } from "./schema";

const TENANTS_PER_PAGE = 1000;

const credits = v.union(v.number(), v.null());

const account = v.object({
  tenant: v.string(),
  credits,
  reserved: v.number(),
  used: v.number(),
  ownerEmail: v.union(v.string(), v.null()),
});

/** Answers if the tables can be read. */
export const ping = internalQuery({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    await ctx.db.query("tenants").first();
    return null;
  },
});

/** Holds one credit for the message, if the tenant has one left. A message that was given a credit keeps it. */
export const reserve = internalMutation({
  args: { tenant: v.string(), message: v.string(), startingCredits: credits },
  returns: v.union(v.literal("reserved"), v.literal("no_credit")),
  handler: async (ctx, args) => {
    const entry = await ledgerEntry(ctx, args.message);
    if (entry !== null && (entry.state === "answered" || holdsCredit(entry))) {
      return "reserved";
    }
    const tenant = await openAccount(ctx, args.tenant, args.startingCredits);
    if (tenant.credits !== null && tenant.reserved + tenant.used >= tenant.credits) {
      return "no_credit";
    }
    await ctx.db.patch(tenant._id, { reserved: tenant.reserved + 1 });
    await setState(ctx, entry, { message: args.message, tenant: args.tenant, state: "reserved" });
    return "reserved";
  },
});

/** Ends the message: charges, releases or keeps its credit, and logs it. What was answered stays so. */
export const settle = internalMutation({
  args: {
    message: v.string(),
    tenant: v.string(),
    session: v.string(),
    chatId: v.string(),
    payloadId: v.string(),
    text: v.string(),
    reply: v.string(),
    outcome,
    receivedMs: v.number(),
    endedMs: v.number(),
    startingCredits: credits,
  },
  returns: v.null(),
  handler: async (ctx, { startingCredits, ...record }) => {
    const entry = await ledgerEntry(ctx, record.message);
    if (entry !== null && (entry.state === "answered" || entry.state === record.outcome)) {
      return null;
    }
    const tenant = await openAccount(ctx, record.tenant, startingCredits);
    const released = entry !== null && holdsCredit(entry) ? 1 : 0;
    const held = record.outcome === "unknown" ? 1 : 0;
    const charged = record.outcome === "answered" ? 1 : 0;
    await ctx.db.patch(tenant._id, {
      reserved: tenant.reserved - released + held,
      used: tenant.used + charged,
    });
    await setState(ctx, entry, { message: record.message, tenant: record.tenant, state: record.outcome });
    await ctx.db.insert("messages", record);
    return null;
  },
});

/** The tenant's account, null where none was opened. */
export const tenant = internalQuery({
  args: { tenant: v.string() },
  returns: v.union(account, v.null()),
  handler: async (ctx, args) => {
    const found = await findAccount(ctx, args.tenant);
    return found === null ? null : asAccount(found);
  },
});

/** The next accounts by id, after the given one ("" for the first); fewer than 1000 are the last. */
export const tenants = internalQuery({
  args: { after: v.string() },
  returns: v.array(account),
  handler: async (ctx, args) => {
    const page = await ctx.db
      .query("tenants")
      .withIndex("by_tenant", (q) => q.gt("tenant", args.after))
      .take(TENANTS_PER_PAGE);
    return page.map(asAccount);
  },
});

/** Sets the tenant's credits and owner, and keeps what was used. Opens the account if need be. */
export const saveTenant = internalMutation({
  args: { tenant: v.string(), credits, ownerEmail: v.union(v.string(), v.null()) },
  returns: account,
  handler: async (ctx, args) => {
    const before = await openAccount(ctx, args.tenant, args.credits);
    const changes = { credits: args.credits, ownerEmail: args.ownerEmail };
    await ctx.db.patch(before._id, changes);
    return asAccount({ ...before, ...changes });
  },
});

type Entry = Doc<"ledger">;
type Account = Doc<"tenants">;

async function ledgerEntry(ctx: QueryCtx, message: string): Promise<Entry | null> {
  return await ctx.db
    .query("ledger")
    .withIndex("by_message", (q) => q.eq("message", message))
    .unique();
}

function holdsCredit(entry: Entry): boolean {
  return entry.state === "reserved" || entry.state === "unknown";
}

async function setState(
  ctx: MutationCtx,
  entry: Entry | null,
  next: Pick<Entry, "message" | "tenant" | "state">,
): Promise<void> {
  if (entry === null) {
    await ctx.db.insert("ledger", next);
  } else {
    await ctx.db.patch(entry._id, { state: next.state });
  }
}

async function findAccount(ctx: QueryCtx, tenant: string): Promise<Account | null> {
  return await ctx.db
    .query("tenants")
    .withIndex("by_tenant", (q) => q.eq("tenant", tenant))
    .unique();
}

async function openAccount(ctx: MutationCtx, tenant: string, credits: number | null): Promise<Account> {
  const known = await findAccount(ctx, tenant);
  if (known !== null) {
    return known;
  }
  const id = await ctx.db.insert("tenants", { tenant, credits, reserved: 0, used: 0, ownerEmail: null });
  return (await ctx.db.get(id))!;
}

function asAccount({ tenant, credits, reserved, used, ownerEmail }: Account) {
  return { tenant, credits, reserved, used, ownerEmail };
}
