#!/usr/bin/env python3
"""Synthetic hospital-group ledger with labelled fraud (standard library only)."""
import argparse, json, math, random
from collections import defaultdict
from datetime import date, datetime, timedelta

DEPTS = ["Emergency", "Cardiology", "Neurology", "Oncology", "Pediatrics", "Surgery", "Radiology",
         "Laboratory", "Pharmacy", "Administration", "IT", "Finance"]
CLIN = DEPTS[:9]
B32 = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
SITES = ["North", "Harbour", "Hill", "Lakeside"]
TOWN = {"North": "Arnfeld", "Harbour": "Port Lune", "Hill": "Steinach", "Lakeside": "Seedorf"}
AWAY = ["Vienna", "Barcelona", "Chicago", "Lisbon", "Dubai", "Oslo", "Milan", "Boston", "Prague", "Lagos", "Singapore"]
LIMITS = [1000, 5000, 10000, 50000]
# role: (weight, depts, mix, shifts, log-mean rate, patient-side payments?)
ROLES = {
 "ward": (34, CLIN[:6], dict(billing=80, adjustment=8, payment=7, insurance_claim=5), ["early", "late", "rot", "night"], 1.2),
 "tech": (22, ["Radiology", "Laboratory", "Pharmacy"], dict(billing=95, adjustment=5), ["early", "late", "rot", "office"], 1.9),
 "cashier": (18, ["Administration", "Emergency", "Pediatrics", "Pharmacy"], dict(payment=84, refund=9, billing=7), ["office", "early", "late"], 1.7),
 "claims": (20, ["Administration", "Cardiology", "Oncology", "Surgery", "Neurology"], dict(insurance_claim=86, adjustment=10, refund=4), ["office"], 1.5),
 "ap": (14, ["Finance"], dict(payment=92, adjustment=4, transfer=4), ["office"], 1.7),
 "treasury": (6, ["Finance"], dict(transfer=90, payment=10), ["office"], 1.0),
 "buyer": (24, DEPTS, dict(procurement=94, payment=6), ["office", "oncall"], 0.6),
 "payroll": (5, ["Finance", "Administration"], dict(payroll=92, adjustment=8), ["office"], 0.3),
 "refunds": (7, ["Finance", "Administration"], dict(refund=80, adjustment=20), ["office"], 0.9),
 "control": (10, ["Finance", "Administration", "IT"], dict(adjustment=55, transfer=45), ["office"], 0.0),
 "doctor": (16, CLIN[:6], dict(insurance_claim=45, billing=40, procurement=15), ["oncall", "rot"], -0.6),
 "iface": (4, ["Laboratory", "Radiology", "Administration", "Pharmacy"], dict(billing=90, insurance_claim=10), ["system"], 4.2),
}
DESC = {
 "billing": ["Inpatient charges", "Outpatient visit", "Consumables", "Diagnostic service", "Day case", "Ward charges {n}", "Treatment episode"],
 "payment": ["Invoice {n}", "Payment received", "Supplier invoice {n}", "Settlement", "Card payment", "Co-payment", "Open item {n}"],
 "refund": ["Overpayment returned", "Credit balance", "Cancelled appointment", "Deposit returned", "Refund {n}"],
 "transfer": ["Internal transfer", "Liquidity", "Reallocation {n}", "Funding", "Settlement between units"],
 "adjustment": ["Correction", "Small balance", "Contract allowance", "Rebooking {n}", "Write-down", "Coding correction"],
 "insurance_claim": ["Claim {n}", "Claim submission", "DRG claim", "Follow-up claim", "Outpatient claim"],
 "payroll": ["Salary", "Allowance", "On-call supplement", "Overtime", "Wage advance"],
 "procurement": ["PO {n}", "Medical supplies", "Consumables order", "Maintenance", "Service order", "Framework call-off {n}"]}
OUT = {"payment", "refund", "transfer", "payroll", "procurement"}
AMT = {"refund": (4.4, 1.2), "transfer": (8.6, 1.3), "adjustment": (3.8, 1.2), "payroll": (6.3, .8), "procurement": (6.9, 1.2),
       "payment": (6.8, 1.3), "billing": (5.0, 1.1), "insurance_claim": (6.7, 1.0)}


class U: pass


class World:
    def __init__(s, a):
        s.a = a; r = s.r = random.Random(a.seed * 7919 + 13); s.D = a.days
        s.rows = []; s.used = set(); s.ninc = 0; s.k = max(.02, a.rows / 60000)
        fye = r.choice([(12, 31), (6, 30), (9, 30), (3, 31)])
        s.fye = min(s.D - 4, int(s.D * r.uniform(.42, .75)))
        s.start = datetime(r.choice([2023, 2024, 2025]), *fye) - timedelta(days=s.fye)
        s.hol = set(r.sample(range(s.D), min(3, s.D)))
        for d in range(s.D):
            x = s.date(d)
            if (x.month, x.day) in [(12, 25), (12, 26), (1, 1), (5, 1)]: s.hol.add(d)
        s.tz = r.choice(["+01:00", "+02:00", "Z"])
        s.accounts(); s.people()

    # ---------- helpers
    def date(s, d): return s.start + timedelta(days=d)
    def dow(s, d): return s.date(d).weekday()
    def work(s, d): return s.dow(d) < 5 and d not in s.hol
    def nextwork(s, d):
        while d < s.D - 1 and not s.work(d): d += 1
        while not s.work(d) and d > 0: d -= 1
        return d
    def monthend(s, d): return s.date(d + 1).day == 1
    def ident(s, p, n):
        while True:
            x = p + "".join(s.r.choice(B32) for _ in range(n))
            if x not in s.used: s.used.add(x); return x
    def acct(s, kind):
        # one numbering plan for all external accounts; internal ones have ledger numbers
        if kind in ("cc", "bank", "ledger"):
            while True:
                x = {"cc": "GL6", "bank": "GL1", "ledger": "GL4"}[kind] + "%05d" % s.r.randrange(99999)
                if x not in s.used: s.used.add(x); return x
        return s.ident({"pat": "PT~", "ven": "KR~", "emp": "PN~", "ext": "BK~", "ins": "KR~"}[kind], 7)
    def ln(s, mu, sd): return math.exp(s.r.gauss(mu, sd))
    def t(s, d, h): return s.date(d) + timedelta(seconds=int(h * 3600 + s.r.random() * 60))

    # ---------- master data
    def vendor(s, depts=None):
        v = U(); r = s.r; v.id = s.acct("ven"); v.mu = r.gauss(6.8, 1.1); v.sd = r.choice([.15, .4, .8])
        v.season = None
        v.items = [s.price(math.exp(r.gauss(v.mu, .7))) for _ in range(r.randint(2, 8))]
        return v
    def price(s, x):
        r = s.r
        if r.random() < .06:
            lim = min(LIMITS, key=lambda L: abs(math.log(L / x)))
            return round(lim - r.choice([1, 5, 10, 20, 25, 50, .01, 100]) * (1 if lim < 9000 else 2), 2)
        return max(.5, round(x, r.choice([0, 0, 1, 2, 2, -1])) or 9.9)
    def accounts(s):
        r = s.r
        s.banks = [s.acct("bank") for _ in range(11)]
        s.cc = {(d, k): s.acct("cc") for d in DEPTS for k in range(4)}
        s.suspense = [s.acct("ledger") for _ in range(4)]; s.woff = [s.acct("ledger") for _ in range(4)]
        s.petty = {k: s.acct("ledger") for k in range(4)}
        s.insurers = [s.acct("ins") for _ in range(14)]
        s.vendors = [s.vendor() for _ in range(260)]
        for v in r.sample(s.vendors, 45):
            st = r.randrange(-20, s.D); v.season = (st, st + r.randint(8, 30))
        s.emps = [(s.acct("emp"), round(s.ln(8.0, .38), 2), r.randrange(4)) for _ in range(max(40, int(430 * s.k)))]
        s.items = {}
        for d in DEPTS:
            base = {"Surgery": 7.0, "Oncology": 6.6, "Cardiology": 6.2, "Laboratory": 3.6, "Pharmacy": 3.7, "Radiology": 5.3}.get(d, 4.9)
            s.items[d] = [("%s%02d" % (d[0:1] + d[2:3].upper(), i), s.price(s.ln(base, .9))) for i in range(r.randint(14, 40))]
        s.fam = {d: [("%s-G%d" % (d[:2].upper(), f), [round(x * st ** l, 2) for l in range(5)])
                     for f in range(4) for x, st in [(s.ln(5.9, .6), r.uniform(1.3, 1.6))]] for d in DEPTS}
        s.act = defaultdict(list); s.card = {}; s.insr = {}; s.pats = []
        n = int(s.a.rows * .24) + 200
        for _ in range(n):
            p = s.patient(); dp = r.choices(DEPTS, [9, 5, 4, 4, 5, 6, 6, 9, 6, 8, 1, 3])[0]; k = r.choices(range(4), [5, 3, 2, 1])[0]
            a0 = r.randint(-15, s.D - 1); ln = int(r.expovariate(1 / 3)) if r.random() < .85 else r.randint(10, 60)
            for d in range(max(0, a0), min(s.D, a0 + ln + 1)):
                if ln < 6 or r.random() < .5: s.act[dp, k, d].append(p)
    def patient(s):
        p = s.acct("pat"); s.card[p] = None; s.insr[p] = s.r.choices(s.insurers, [1 / (i + 1) for i in range(14)])[0]; s.pats.append(p); return p
    def pat(s, dp, k, d):
        l = s.act.get((dp, k, d))
        if not l or s.r.random() < .04:
            p = s.patient(); s.act[dp, k, d].append(p); return p
        return s.r.choice(l)
    def cardof(s, p):
        if not s.card.get(p): s.card[p] = s.acct("ext")
        return s.card[p]

    def mkuser(s, role):
        r = s.r; u = U(); u.role = role; w, dp, mix, sh, lr = ROLES[role]
        u.id = s.ident("hg.", 5).lower(); u.dept = r.choice(dp); u.site = r.choices(range(4), [5, 3, 2, 1])[0]
        u.mix = {k: max(.3, v * r.uniform(.5, 1.6)) for k, v in mix.items() if v > 20 or r.random() < .75}
        u.shift = r.choice(sh); u.w = math.exp(r.gauss(lr, 1.25 if role != "iface" else .5))
        u.cp = r.choices(["never", "mixed", "always"], {"ap": [1, 3, 6], "treasury": [0, 2, 8], "buyer": [3, 3, 4], "payroll": [2, 3, 5], "iface": [7, 1, 2]}.get(role, [5, 3, 2]))[0]
        u.scale = r.gauss(0, .35); u.h0 = r.gauss(7.8, .7); u.sess = r.random() < .45; u.descp = r.choice([0, .2, .5, .9])
        u.devs = [s.ident("wk", 4).lower()] + ([s.ident("mb", 4).lower()] if r.random() < .25 else [])
        u.ip = "10.%d.%d." % (20 + u.site, r.randrange(250)); u.ipn = r.randrange(2, 250)
        fs = ["device", "ip", "site", "channel", "ref", "method", "approver", "code", "place", "cost_centre", "session"]
        u.md = set(r.sample(fs, r.randint(2, 9))) | ({"device"} if r.random() < .6 else set())
        n = r.randint(3, 30); u.vend = r.sample(s.vendors, n); u.vw = [1 / (i + 1) ** r.uniform(.5, 1.2) for i in range(n)]
        u.hire = 0; u.last = 10 ** 6; u.away = set(); u.tag = {}; u.dorm = False; u.fr = 0; u.approver = None
        u.tfpairs = [(r.choice(s.banks), r.choice(s.banks + list(s.cc.values()))) for _ in range(r.randint(2, 9))]
        u.tfpairs = [(a, b) for a, b in u.tfpairs if a != b] or [(s.banks[0], s.banks[1])]
        u.items = r.sample(s.items[u.dept], min(len(s.items[u.dept]), r.randint(5, 14)))
        u.fam = r.sample(s.fam[u.dept], r.randint(1, 3)); u.emps = r.sample(s.emps, 25)
        return u
    def people(s):
        r = s.r; N = s.a.users; names = list(ROLES); ws = [ROLES[x][0] for x in names]; tot = sum(ws)
        lst = []
        for n, w in zip(names, ws): lst += [n] * max(1, int(N * w / tot))
        while len(lst) < N: lst.append(r.choices(names, ws)[0])
        r.shuffle(lst); core = list(names); lst = (lst if N >= 30 else core + lst)[:max(N, 1)]
        s.us = [s.mkuser(x) for x in lst]
        sp = [u for u in s.us if u.role != "iface"]; r.shuffle(sp); m = max(1, N // 26)
        s.hires = sp[:m]; s.leave = sp[m:2 * m]; s.dormant = sp[2 * m:3 * m + 1]
        for u in s.hires: u.hire = r.randint(5, s.D - 6)
        for u in s.leave:
            b = r.randint(3, max(4, s.D // 3)); e = b + r.randint(14, 30); u.away |= set(range(b, e)); u.ret = e
        for u in s.dormant: u.dorm = True; u.last = r.randint(2, 9)
        for u in sp[3 * m + 1:]:
            if r.random() < .35: b = r.randrange(s.D); u.away |= set(range(b, b + r.randint(3, 14)))
        s.by = defaultdict(list)
        for u in s.us: s.by[u.role].append(u)
        if s.by["iface"]: s.by["iface"][0].w *= 6
        bosses = r.sample(s.us, max(2, N // 12))
        for u in s.us: u.approver = r.choice(bosses).id
        for u in s.us: s.schedule(u)
    def schedule(s, u):
        r = s.r; u.sch = {}; off = r.randrange(28); nw = set()
        if u.shift in ("office", "early", "late", "oncall") and r.random() < .06: a = r.randrange(s.D); nw = set(range(a, a + r.randint(2, 6)))
        for d in range(s.D):
            if d < u.hire or d in u.away or d > u.last: continue
            wk = (d + off) // 7; sh = u.shift; x = None; tag = None
            if sh == "system": x = (0, 23.99)
            elif sh in ("office", "oncall"):
                if s.work(d): x = (u.h0, 9.2)
                elif sh == "oncall" and (wk % 4 == 0 or d in s.hol): x = (r.uniform(7, 15), 8)
                elif r.random() < .025: x = (9 + r.random() * 4, 4)
            else:
                if sh == "rot": sh = ["early", "late", "night"][wk % 3]
                if (d + off) % 7 < (4 if sh == "night" else 5): x = ({"early": 6, "late": 13.5, "night": 21}[sh], 8.3)
                if sh == "night": tag = "night_shift"
            if d in nw and x: x = (21, 8.5); tag = "night_shift"
            elif x and u.shift in ("early", "late") and r.random() < .02:
                x = (21.0 if r.random() < .4 else (13.5 if x[0] < 10 else 6), 8); tag = "swapped_shift"
            elif not x and u.shift in ("early", "late", "rot", "night") and r.random() < .03: x = (6, 8); tag = "swapped_shift"
            if x and d in s.hol: tag = "public_holiday"
            if x and u in s.hires and d < u.hire + 12: tag = "new_hire"
            if x and u in s.leave and u.ret <= d < u.ret + 4: tag = "return_from_leave"
            if x: u.sch[d] = x; u.tag[d] = tag
    def when(s, u, d):
        r = s.r; st, ln = u.sch.get(d, (u.h0, 9))
        if u.shift == "system": h = r.choice([r.random() * 24, 2 + r.random(), r.gauss(12, 3) % 24])
        elif u.sess: q = random.Random("%s%d" % (u.id, d)); h = st + q.choice([q.random() for _ in range(4)] if 0 else [q.random() * .95 for _ in range(1)]) * 0 + r.choice([q.random() for _ in range(4)]) * ln * .93 + r.expovariate(5)
        else: h = st + ln * (r.betavariate(2.2, 3.4) if r.random() < .5 else .5 + .5 * r.betavariate(2, 3))
        if r.random() < .012 and u.shift != "system": h += r.choice([-1.6, 1.8, 3.2])
        return s.t(d, max(0, h)) if d < s.D - 1 else min(s.t(d, max(0, h)), s.date(s.D) - timedelta(seconds=r.randint(1, 900)))

    # ---------- rows
    def amount(s, u, ty, o=None):
        r = s.r
        if ty == "billing" and r.random() < .75:
            c, p = r.choice(u.items); return round(p * r.choice([1] * 14 + [2, 2, 3, 4, .5]), 2), c
        if ty == "insurance_claim" and r.random() < .7:
            c, p = r.choice(u.fam); l = r.choices(range(5), [30, 32, 22, 11, 5])[0]; return p[l], "%s.%d" % (c, l + 1)
        mu, sd = AMT[ty]
        if ty == "payment" and u.role in ("cashier", "ward"): mu, sd = 3.9, .9
        x = s.ln(mu + u.scale, sd)
        if r.random() < .004: x *= r.uniform(4, 25)
        if r.random() < .12: x = float("%.2g" % x)
        return max(.5, round(x, 2)), None
    def med(s, u, ty): return sorted(s.amount(u, ty)[0] for _ in range(41))[20]
    def q(s, u, ty, f): l = sorted(s.amount(u, ty)[0] for _ in range(60)); return l[min(59, int(60 * f))]
    def pickv(s, u, d):
        r = s.r
        for _ in range(6):
            v = r.choices(u.vend, u.vw)[0] if r.random() < .94 else r.choice(s.vendors)
            if not v.season or v.season[0] <= d <= v.season[1]: return v
        return r.choice(s.vendors)
    def add(s, u, t, ty=None, amt=None, own=None, other=None, dept=None, ben=None, md=None, inc=None, sch=None, gr=None, desc=None):
        """own/other override; people who never book a counterparty get the outside party as the account."""
        r = s.r; d = max(0, min(s.D - 1, (t - s.start).days))
        ty = ty or r.choices(list(u.mix), list(u.mix.values()))[0]; dp = dept or u.dept
        a, code = s.amount(u, ty); o1 = o2 = None
        patside = ty in ("billing", "refund", "insurance_claim") or (ty == "payment" and u.role not in ("ap", "buyer", "treasury")) or (ty == "adjustment" and u.role not in ("control", "ap", "payroll"))
        if own is None or other is None:
            if patside:
                o1 = own or s.pat(dp, u.site, d)
                o2 = s.cardof(o1) if ty == "refund" and r.random() < .85 else s.insr.get(o1) or s.insurers[0] if ty in ("insurance_claim", "refund") else s.woff[u.site] if ty == "adjustment" else s.banks[u.site] if ty == "payment" else s.cc[dp, u.site]
            elif ty in ("payment", "procurement"):
                v = s.pickv(u, d); o2 = v.id; o1 = s.banks[u.site] if ty == "payment" else s.cc[dp, u.site]
                x = r.random(); a = round(r.choice(v.items) * r.choice([1, 1, 1, 1, 2, 3, 5]), 2) if x < .6 else max(1, round(s.ln(v.mu, v.sd), 2))
            elif ty == "transfer": o1, o2 = r.choice(u.tfpairs)
            elif ty == "payroll": o1, o2 = s.banks[4 + u.site], r.choice(u.emps)[0]
            else: o1, o2 = s.cc[dp, u.site], r.choice([s.suspense[u.site], s.woff[u.site], s.cc[r.choice(DEPTS), u.site]])
        own = own or o1; other = other or o2
        if amt is not None: a = max(.01, round(amt, 2))
        row = dict(timestamp=t, user_id=u.id, account_id=own, department=dp, transaction_type=ty, amount=round(float(a), 2))
        if u.cp == "always" or (u.cp == "mixed" and ty in OUT): row["counterparty_account"] = other
        elif not patside: row["account_id"] = other
        ds = desc or r.choice(DESC[ty])
        if r.random() < u.descp: row["description"] = ds.format(n=r.randint(10000, 99999))
        m = {}
        for f in sorted(u.md):
            if f == "device": m[f] = u.devs[0] if r.random() < .9 else r.choice(u.devs)
            elif f == "ip": m[f] = u.ip + str(u.ipn if r.random() < .85 else r.randint(2, 250))
            elif f == "site": m[f] = SITES[u.site]
            elif f == "channel": m[f] = "interface" if u.role == "iface" else r.choices(["desktop", "portal", "mobile", "import"], [80, 14, 4, 2])[0]
            elif f == "ref": m[f] = "%s%07d" % (ty[0].upper(), r.randrange(10 ** 7))
            elif f == "method" and ty in OUT: m[f] = r.choices(["wire", "card", "cash", "direct_debit"], [6, 4, 1, 2] if ty != "payroll" else [9, 0, 0, 1])[0]
            elif f == "approver" and a > 800: m[f] = u.approver
            elif f == "code" and code and (amt is None or r.random() < .5): m[f] = code
            elif f == "place": m[f] = TOWN[SITES[u.site]]
            elif f == "cost_centre": m[f] = s.cc[dp, u.site]
            elif f == "session": m[f] = "%06x" % random.Random("%s%d%d" % (u.id, d, t.hour // 5)).randrange(1 << 24)
        for k, v in (md or {}).items():
            if k in u.md or k == "batch": m[k] = v
        row["metadata"] = m
        row["_"] = dict(fraud=inc is not None, incident=inc, scheme=sch, grade=gr, benign=ben); row["_u"] = u
        if t >= s.date(s.D): row["timestamp"] = s.date(s.D) - timedelta(seconds=r.randint(1, 3000))
        if t < s.start: row["timestamp"] = s.start + timedelta(seconds=r.randint(1, 3000))
        s.rows.append(row); return row
    def who(s, *roles):
        l = [u for x in roles for u in s.by[x] if not u.dorm]
        return s.r.choice(l or [u for u in s.us if not u.dorm] or s.us)
    def onday(s, u, lo=0, hi=None):
        hi = s.D - 1 if hi is None else min(hi, s.D - 1); l = [d for d in u.sch if lo <= d <= hi]
        return s.r.choice(l) if l else s.nextwork(s.r.randint(min(lo, hi), hi))
    def n(s, x): return max(1, int(round(x * s.k)))

    # ---------- benign confusers
    def benign(s):
        r, D = s.r, s.D; A = s.add
        pay = [s.who("payroll") for _ in range(4)]
        for d in range(D):
            if s.monthend(d) or (d == D - 1 and D < 30):
                e = d
                while e > 0 and not s.work(e): e -= 1
                for k in range(4):
                    t = s.t(e, r.uniform(8, 18)); b = s.ident("B", 5)
                    for i, (ac, sal, st) in enumerate(s.emps):
                        if st == k: A(pay[k], t + timedelta(seconds=i // 2), "payroll", sal + (0 if r.random() < .6 else round(r.uniform(20, 600), 2)), s.banks[4 + k], ac, ben="pay_run", md={"batch": b})
            if s.monthend(d):
                q = s.date(d).month % 3 == 0
                for u in s.by["control"] + s.by["ap"][:6] + s.by["treasury"]:
                    for _ in range(r.randint(1, 9)):
                        A(u, s.t(min(D - 1, d + r.randint(0, 2)), r.uniform(7, 22.5)), r.choice(["adjustment", "transfer"]), s.ln(8.5 if q else 7.5, 1.4), ben="quarter_end" if q else "month_end")
        e = s.nextwork(r.randint(10, D - 1)); t = s.t(e, 11); ub = pay[0]
        for i, (ac, sal, st) in enumerate(r.sample(s.emps, len(s.emps) // 3)):
            A(ub, t + timedelta(seconds=i), "payroll", round(sal * r.choice([.5, 1, 1, 1.5])), s.banks[4], ac, ben="bonus_run")
        for _ in range(s.n(160)):
            u = s.who("control", "treasury"); k1, k2 = r.sample(list(s.cc.values()), 2); A(u, s.when(u, s.onday(u)), "transfer", s.price(s.ln(7.5, 1.2)), k1, k2, ben="dept_transfer")
        for _ in range(s.n(14)):  # stand-ins
            u = s.who("ward", "tech", "cashier", "claims", "ap", "buyer", "refunds"); o = s.who("ap", "buyer", "claims", "cashier", "refunds", "ward")
            d0 = s.onday(u)
            for d in range(d0, min(D, d0 + r.randint(1, 8))):
                if d in u.sch:
                    for _ in range(r.randint(1, 8)):
                        ty = r.choice(list(o.mix)); A(u, s.when(u, d), ty, s.amount(o, ty)[0], dept=o.dept, ben="stand_in")
        for step, cnt in ((1, 6), (7, 24), (30, 45)):  # standing invoices
            for _ in range(s.n(cnt)):
                u = s.who("ap", "buyer"); v = r.choice(u.vend); am = s.price(s.ln(6.6, 1.2)); h = r.uniform(6, 17); d = r.randrange(min(D, step))
                ty = "payment" if u.role == "ap" else "procurement"
                while d < D: A(u, s.t(d if step == 1 else s.nextwork(d), h + r.random() * .2), ty, am, s.banks[u.site], v.id, ben="standing_invoice"); d += step
        for _ in range(s.n(22)):  # list prices just below limits
            u = s.who("buyer", "tech", "claims", "ap", "cashier"); L = r.choices(LIMITS, [5, 5, 4, 1])[0]; am = L - r.choice([1, 5, 10, 20, 50, .01]) * max(1, L // 5000)
            ty = max(u.mix, key=u.mix.get); v = r.choice(u.vend) if ty in ("procurement", "payment") and u.role != "cashier" else None
            for _ in range(r.randint(2, 14)): A(u, s.when(u, s.onday(u)), ty, am, other=v and v.id, ben="list_price")
        for _ in range(s.n(9)):  # new honest vendors
            v = s.vendor(); us = [s.who("buyer", "ap") for _ in range(r.randint(2, 5))]; d = r.randint(3, D - 8); am = s.ln(6.3, .7)
            for i in range(r.randint(4, 12)):
                u = r.choice(us); A(u, s.when(u, s.onday(u, d, d + 3)), "procurement" if u.role == "buyer" else "payment", s.price(am), s.cc[u.dept, u.site], v.id, ben="new_vendor"); am *= r.uniform(1, 1.6); d += r.randint(1, 5)
                if d >= D: break
        for u in s.us[:s.n(14)]: s.vendors.append(s.vendor()); u.vend.append(s.vendors[-1]); u.vw.append(.3)
        for _ in range(s.n(7)):
            u = s.who("control", "claims", "ward", "refunds"); d = s.onday(u); t = s.when(u, d); am = s.ln(3.2, .8); same = r.random() < .5
            for i in range(r.randint(12, 70)): A(u, t + timedelta(seconds=i * r.randint(2, 14)), "adjustment", am if same else s.ln(3.2, .8), ben="bulk_correction")
        for _ in range(s.n(22)):
            u = s.who("buyer", "ap"); v = s.vendor() if r.random() < .5 else r.choice(s.vendors)
            A(u, s.when(u, s.onday(u)), "procurement" if u.role == "buyer" else "payment", s.ln(11, .8), None, v.id, ben="large_purchase")
        for _ in range(s.n(45)):
            u = s.who("cashier"); p = s.patient(); am = s.price(s.ln(4.6, .6)); d = r.randrange(D); st = r.choice([7, 7, 14, 30])
            while d < D: x = s.onday(u, d, d + 2); A(u, s.when(u, x), "payment", am, p, ben="instalment"); d += st
        ut = s.who("treasury")
        for d in range(D):
            if s.work(d):
                for b in s.banks[1:1 + r.randint(2, 4)]: A(ut, s.t(d, 17 + r.random() * .4), "transfer", s.ln(10.2, .9), b, s.banks[0], ben="cash_pooling")
                if r.random() < .3: A(ut, s.t(d, 7.5 + r.random()), "transfer", float("%.2g" % s.ln(10, .6)), s.banks[0], r.choice(s.banks[1:5]), ben="cash_pooling")
        for _ in range(s.n(30)):
            u = s.who("ap", "treasury", "control"); a, b = r.sample(s.banks + list(s.cc.values()), 2) if u.role != "ap" else (s.banks[0], s.pickv(u, 5).id); am = s.ln(7.8, 1.1); d = s.onday(u, 0, D - 5); t = s.when(u, d)
            A(u, t, "transfer", am, a, b, ben="returned_transfer"); t2 = t + timedelta(hours=r.uniform(1, 70)); A(u, t2, "transfer", am, b, a, ben="returned_transfer")
            if r.random() < .6: A(u, t2 + timedelta(hours=r.uniform(.3, 20)), "transfer", am, a, b, ben="returned_transfer")
        for _ in range(s.n(12)):
            u = s.who("claims", "tech", "iface", "ward", "refunds"); d = s.onday(u); t = s.t(d, r.choice([r.uniform(0, 6), r.uniform(18, 23), r.uniform(8, 17)])); b = s.ident("B", 5)
            ty = max(u.mix, key=u.mix.get)
            for i in range(r.randint(20, 100)): A(u, t + timedelta(seconds=i * .4), ty, ben="batch_import", md={"batch": b, "channel": "import"})
        for u in (s.by["control"] + s.by["refunds"])[:5]:
            t = s.when(u, s.onday(u, s.fye - 5, s.fye))
            for i in range(r.randint(15, 60)): t += timedelta(seconds=r.randint(3, 50)); A(u, t, "adjustment", r.uniform(.2, 25), r.choice(s.pats), s.woff[u.site], ben="year_end_writeoff")
        for _ in range(s.n(28)):
            u = s.who("buyer", "doctor"); d = r.randrange(D - 1); A(u, s.t(d, 20 + r.random() * 9), "procurement", s.ln(7.6, 1), None, (s.vendor() if r.random() < .2 else r.choice(s.vendors)).id, ben="emergency_purchase")
        for _ in range(s.n(10)):
            u = s.who("doctor", "buyer", "control", "claims", "ap"); d0 = r.randrange(D - 4); dev = s.ident("mb", 4).lower(); pl = r.choice(AWAY); ip = "%d.%d.%d." % (r.randint(30, 210), r.randrange(255), r.randrange(255))
            sh = r.choice([0, 0, -6, 6])
            for d in range(d0, d0 + r.randint(2, 4)):
                for _ in range(r.randint(1, 5)): A(u, s.t(min(D - 1, d), r.uniform(7, 20) + sh if sh < 0 else r.uniform(8, 23)), ben="travel", md=dict(device=dev, place=pl, ip=ip + str(r.randint(2, 250)), channel="mobile"))
        for u in r.sample(s.us, max(1, len(s.us) // 15)):
            d = s.onday(u); u.newdev = (d, s.ident("wk", 4).lower())
        for _ in range(s.n(45)):
            u = s.who("buyer", "ap"); v = s.pickv(u, 20); am = s.price(s.ln(6.4, .9)); t = s.when(u, s.onday(u, 0, D - 4)); ty = "procurement" if u.role == "buyer" else "payment"
            for i in range(r.choice([2, 2, 2, 3])): A(u, t, ty, am, None, v.id, ben="double_delivery"); t += timedelta(hours=r.choice([r.uniform(.05, 3), 24 + r.uniform(-2, 2), 48]))
        priv = [s.acct("ext") for _ in range(s.n(70))]
        for _ in range(s.n(330)):   # honoraria, tenants, foundations, authorities: bank accounts outside the vendor list
            u = s.who("ap", "treasury", "control", "buyer", "doctor"); ty = r.choice(["payment", "transfer"]) if u.role not in ("buyer", "doctor") else "procurement"
            A(u, s.when(u, s.onday(u)), ty, s.price(s.ln(6.9, 1.1)), r.choice(s.banks) if r.random() < .5 else s.cc[u.dept, u.site], r.choice(priv) if r.random() < .75 else s.acct("ext"))
        for _ in range(s.n(90)):
            u = s.who("refunds", "control", "cashier", "treasury"); A(u, s.when(u, s.onday(u)), "refund", s.price(s.ln(4.6, .9)), r.choice(s.pats), r.choice(priv))
        for _ in range(s.n(520)):   # petty cash in ordinary use
            u = s.who("cashier", "ward", "buyer", "control"); ty = "payment" if u.role in ("cashier", "ward") else self_ty(u)
            A(u, s.when(u, s.onday(u)), ty, s.price(s.ln(3.9, .8)), s.petty[u.site], s.banks[u.site] if r.random() < .7 else r.choice(priv), md={"method": "cash"})
        for _ in range(s.n(220)):   # items to be clarified, in and out of suspense
            u = s.who("control", "treasury", "ap"); am = s.ln(7.2, 1.2); d = s.onday(u, 0, D - 2); sp = s.suspense[u.site]
            A(u, s.when(u, d), r.choice(["transfer", "adjustment"]), am, s.cc[u.dept, u.site], sp)
            if r.random() < .8: A(u, s.when(u, s.onday(u, d, d + 12)), "transfer", am, sp, r.choice([s.cc[u.dept, u.site], r.choice(s.vendors).id, r.choice(priv)]))
        for _ in range(s.n(60)):    # short deposits, grants, sister foundations: money out and back, sometimes on to a third bank
            u = s.who("treasury", "control"); b = r.choice(s.banks); x = r.choice(priv[:12]); y = r.choice(priv[:12]); am = float("%.2g" % s.ln(9.5, 1.1)); d = s.onday(u, 0, D - 2); z = r.random()
            if z < .8: A(u, s.when(u, d), "transfer", am, b, x)
            if z < .15 and x != y: d = s.onday(u, d, d + 6); A(u, s.when(u, d), "transfer", am, x, y); x = y
            if z < .6 or z > .8: A(u, s.when(u, s.onday(u, d, d + 20)), "transfer", am * r.choice([1, 1, r.uniform(1, 1.02)]), x, b)
        for _ in range(s.n(60)):    # people correcting pay or helping payroll
            u = s.who("control", "payroll"); A(u, s.when(u, s.onday(u)), "payroll", s.price(s.ln(6, .8)), s.banks[4 + u.site], r.choice(s.emps)[0] if r.random() < .8 else s.acct("emp"))
        for _ in range(s.n(40)):
            u = s.who("cashier", "claims", "refunds"); A(u, s.when(u, s.onday(u)), "refund", s.price(s.ln(4.4, .9)), r.choice(s.pats), r.choice(s.emps)[0], md={"method": "card"})
        for u in s.dormant[::3]:   # a quiet person honestly back
            d = r.randint(25, D - 2) if D > 28 else D - 1
            for x in range(d, min(D, d + 5)):
                for _ in range(r.randint(0, 4)): A(u, s.t(x, r.uniform(8, 16.5)), ben="return_from_leave")

    def routine(s, n):
        r = s.r; us = [u for u in s.us if u.sch]
        days = {u: len(u.sch) for u in us}; lo, hi = 1e-6, 1e6
        f = lambda c: sum(min(200, max(.2, c * u.w)) * days[u] for u in us)
        for _ in range(70):
            m = math.sqrt(lo * hi)
            if f(m) < n: lo = m
            else: hi = m
        sl, w = [], []
        for u in us:
            b = min(200, max(.2, lo * u.w))
            for d in u.sch:
                x = b * r.gammavariate(4, .25)
                if u.shift == "system" and s.dow(d) > 4: x *= .5
                sl.append((u, d)); w.append(x)
        for u, d in r.choices(sl, w, k=n):
            nd = getattr(u, "newdev", None)
            s.add(u, s.when(u, d), ben=u.tag.get(d), md={"device": nd[1]} if nd and d >= nd[0] else None)

    # ---------- fraud
    def fraud(s, target):
        r = s.r; grades = [g for g in s.a.grades.split(",") if g]; sc = [n[2:] for n in dir(s) if n.startswith("f_")]
        r.shuffle(sc); s.hist = defaultdict(list)
        for x in s.rows: s.hist[x["user_id"]].append(x)
        done = k = 0; order = []; s.F0 = min(14, s.D - 2); s.nrow = defaultdict(int)
        tries = 0; got = defaultdict(int)
        while done < target and tries < 5000:
            tries += 1; i = k; sch = sc[i % len(sc)]; g = grades[(i + i // len(sc)) % len(grades)]; k += 1
            s.g = {"blatant": 0, "medium": 1, "subtle": 2}[g]; s.cur = (sch, g); s.left = min(30, target - done); s.inc = s.ninc
            b4 = s.left; lead = min(grades, key=lambda z: got[z])
            if got[g] - got[lead] > 12: g = lead; s.g = {"blatant": 0, "medium": 1, "subtle": 2}[g]; s.cur = (sch, g)
            b4 = s.left; s.perp = set(); getattr(s, "f_" + sch)()
            c = b4 - s.left
            if c: s.ninc += 1; done += c; got[g] += c
        return done
    def p(s, *x): return x[s.g]
    def F(s, u, t, ty=None, amt=None, own=None, other=None, **kw):
        if s.left <= 0: return None
        if t < s.date(s.F0): t = s.t(s.F0, 9 + s.r.random() * 6)
        s.left -= 1; return s.add(u, t, ty, amt, own, other, inc=s.inc, sch=s.cur[0], gr=s.cur[1], **kw)
    def conv(s, row, amt):
        if s.left <= 0 or row["_"]["fraud"]: return
        s.left -= 1; row["amount"] = max(.01, round(amt, 2)); row["_"] = dict(fraud=True, incident=s.inc, scheme=s.cur[0], grade=s.cur[1], benign=None)
    def crook(s, *roles, cp=False):
        l = [u for x in roles for u in s.by[x]] if roles else s.us
        l = [u for u in l if not u.dorm and u.role != "iface" and len([d for d in u.sch if d >= s.F0]) > 4]
        if cp: l = [u for u in l if u.cp != "never"] or l
        l = l or [u for u in s.us if u.sch and max(u.sch) > s.F0] or s.us
        m = min(u.fr for u in l); u = s.r.choice([u for u in l if u.fr == m]); u.fr += 1; return u
    def dd(s, u, span, n):
        """n working moments inside a window of `span` days, in time order"""
        l = sorted(d for d in u.sch if d >= s.F0) or [s.D - 1]; a = s.r.randrange(max(1, len(l) - min(span, len(l)) + 1)); w = l[a:a + span]
        return sorted(s.when(u, s.r.choice(w)) for _ in range(n))
    def size(s, a, b): return s.r.randint(a, b)
    def main(s, u): return max(u.mix, key=u.mix.get)
    def past(s, u, ty=None): return [x for x in s.hist[u.id] if (ty is None or x["transaction_type"] == ty) and not x["_"]["fraud"]]
    def rawday(s): return s.r.randint(s.F0, s.D - 2)

    def f_amount_spike(s):
        u = s.crook(); ty = s.main(u)
        for t in s.dd(u, s.p(2, 6, 15), s.size(1, 3)): s.F(u, t, ty, s.q(u, ty, s.p(.95, .9, .9)) * s.r.uniform(*s.p((15, 60), (5, 12), (2, 4))))
    def f_off_hours_run(s):
        u = s.crook("ap", "claims", "refunds", "buyer", "cashier", "control"); n = s.size(4, 11); d = s.rawday(); ty = s.main(u)
        t = s.t(d, s.p(s.r.uniform(25, 27.5), s.r.uniform(21.5, 24), s.r.uniform(18.8, 20.5)))
        for i in range(n):
            s.F(u, t, ty, s.q(u, ty, .6) * s.r.uniform(.8, s.p(4, 2, 1.4))); t += timedelta(minutes=s.r.uniform(1, s.p(5, 15, 30)))
            if s.g == 2 and s.r.random() < .5: t += timedelta(days=1)
    def f_burst(s):
        u = s.crook(); n = s.p(s.size(14, 24), s.size(9, 14), s.size(5, 9)); t = s.dd(u, 30, 1)[0]; ty = s.main(u); am = s.q(u, ty, .6)
        for i in range(n): s.F(u, t, ty, am * s.r.uniform(.8, 1.3)); t += timedelta(seconds=s.r.uniform(3, s.p(20, 60, 240)))
    def f_structuring(s):
        u = s.crook("ap", "buyer", "treasury", "control", "refunds"); n = s.size(4, 9); ty = s.main(u); L = min(LIMITS, key=lambda L: abs(math.log(L / (3 * s.med(u, ty))))); L = max(L, 1000)
        v = s.acct("ven") if s.g < 2 else s.r.choice(u.vend).id
        for t in s.dd(u, s.p(2, 7, 25), n): s.F(u, t, ty, L * (1 - s.r.uniform(.001, s.p(.02, .05, .12))), None, v if ty in ("payment", "procurement", "transfer") else None)
    def dup(s, ty, roles):
        u = s.crook(*roles); l = [x for x in s.past(u, ty) if (x["timestamp"] - s.start).days >= s.F0 - 3]
        for o in s.r.sample(l, min(len(l), s.size(2, 5))):
            for _ in range(s.p(2, 1, 1)):
                t = o["timestamp"] + timedelta(hours=s.p(s.r.uniform(.01, .5), s.r.uniform(2, 50), s.r.uniform(70, 400)))
                if t > s.date(s.D): t = o["timestamp"] + timedelta(minutes=20)
                x = s.F(u, t, ty, o["amount"] * s.p(1, 1, s.r.uniform(.985, 1.015)))
                if x:
                    x["account_id"] = o["account_id"]; x["department"] = o["department"]
                    if "counterparty_account" in o: x["counterparty_account"] = o["counterparty_account"]
                    if "code" in o["metadata"]: x["metadata"]["code"] = o["metadata"]["code"]
    def f_duplicate_claim(s): s.dup("insurance_claim", ["claims", "doctor"])
    def f_duplicate_payment(s): s.dup("payment", ["ap", "cashier"])
    def f_refund_cycle(s):
        u = s.crook("cashier", "refunds"); n = s.size(2, 5); ps = [s.r.choice(s.pats) for _ in range(s.p(1, 2, n))]; card = s.acct("ext")
        for t in s.dd(u, s.p(2, 8, 25), n):
            a = s.q(u, "refund", s.p(.97, .85, .6)) * s.p(3, 1.5, 1); p = s.r.choice(ps)
            s.F(u, t, "payment", a, p); s.F(u, t + timedelta(minutes=s.r.uniform(3, s.p(20, 200, 2500))), "refund", a * s.p(1, 1, s.r.uniform(.9, 1)), p, card if s.g < 2 else None)
    def f_writeoff_cycle(s):
        u = s.crook("refunds", "claims", "ward", "control"); n = s.size(4, 9); ps = [s.r.choice(s.pats) for _ in range(s.p(1, 3, 5))]
        for t in s.dd(u, s.p(2, 8, 25), n): s.F(u, t, "adjustment", s.q(u, "adjustment", s.p(.97, .85, .7)) * s.r.uniform(*s.p((4, 9), (1.5, 3), (.9, 1.3))), s.r.choice(ps), s.woff[u.site])
    def f_dormant_user(s):
        l = [x for i, x in enumerate(s.dormant) if i % 3 and x.fr == 0]
        if not l: return
        u = s.r.choice(l); u.fr += 1; d = s.r.randint(min(s.D - 5, 24), s.D - 2) if s.D > 30 else s.D - 2; n = s.size(3, 8); ty = s.main(u)
        for i in range(n): s.F(u, s.t(min(s.D - 1, d + s.p(0, i // 3, i // 2)), s.p(s.r.uniform(22, 28) , s.r.uniform(7, 20), s.r.uniform(8, 17))), ty, s.q(u, ty, s.p(.95, .8, .5)) * s.p(4, 1.8, 1.1))
    def f_dormant_account(s):
        u = s.crook("ap", "refunds", "cashier", "claims", "control"); l = [x for x in s.rows if (x["timestamp"] - s.start).days < 6 and x["account_id"].startswith("PT")]; o = s.r.choice(l)["account_id"] if l else s.r.choice(s.pats); ty = "refund" if "refund" in u.mix else "adjustment"
        for t in s.dd(u, s.p(1, 5, 14), s.size(2, 6))[:]: s.F(u, max(t, s.t(s.D // 2, 9)), ty, s.q(u, ty, s.p(.98, .85, .6)) * s.p(5, 2, 1.1), o)
    def f_out_of_role(s):
        u = s.crook("tech", "ward", "doctor", "cashier"); o = s.crook("ap", "buyer", "treasury", "payroll"); o.fr -= 1; ty = s.main(o); n = s.size(3, 8); v = s.acct("ven")
        for t in s.dd(u, s.p(2, 8, 20), n): s.F(u, t, ty, s.q(o, ty, s.p(.9, .6, .4)), None, v if s.g < 1 and ty != "payroll" else None, dept=o.dept if s.g < 2 else None)
    def f_escalating_payee(s):
        u = s.crook("ap", "buyer", cp=s.g == 0); v = s.acct("ven"); n = s.size(5, 9); ty = s.main(u); a = s.med(u, ty) * s.p(1.5, .8, .6)
        for t in s.dd(u, s.p(7, 18, 35), n): s.F(u, t, ty, a, None, v); a *= s.r.uniform(*s.p((1.7, 2.3), (1.3, 1.6), (1.1, 1.25)))
    def f_round_trip(s):
        m = s.size(3, 6); u = s.crook("treasury", "control", "ap", cp=True); us = [u] + [s.crook("treasury", "control", "ap", cp=True) for _ in range(s.p(0, 1, 2))]
        ac = s.r.sample(list(s.cc.values()) + s.banks, m) if s.g == 2 else [s.acct("ext") if s.r.random() < .5 else s.r.choice(s.banks) for _ in range(m)]
        ac = list(dict.fromkeys(ac)); m = len(ac)
        while m < 3: ac.append(s.acct("ven")); m += 1
        a = s.q(u, "transfer", s.p(.95, .75, .5)) * s.p(3, 1.2, 1); t = s.dd(u, 25, 1)[0]
        for rep in range(s.p(2, 1, 1)):
            for i in range(m):
                s.F(s.r.choice(us), min(t, s.date(s.D) - timedelta(minutes=m - i)), "transfer", a, ac[i], ac[(i + 1) % m]); a *= s.p(1, .99, s.r.uniform(.95, .99)); t += timedelta(hours=s.p(s.r.uniform(.1, .6), s.r.uniform(2, 14), s.r.uniform(15, 50)))
    def f_shell_vendor(s):
        v = s.acct("ven"); us = [s.crook("buyer", "ap", "doctor") for _ in range(s.size(3, 4))]
        for u in us:
            ty = "payment" if u.role == "ap" else "procurement"
            for t in s.dd(u, s.p(4, 12, 35), s.size(1, 4)): s.F(u, t, ty, s.q(u, ty, s.p(.9, .75, .55)) * s.p(2.5, 1.3, 1) if s.g else float("%.1g" % (3 * s.q(u, ty, .9))), None, v)
    def f_ghost_payee(s):
        u = s.crook("payroll"); e = [s.acct("emp") for _ in range(s.p(3, 2, 1))]; sal = s.p(9000, 4200, 2600) * s.r.uniform(.8, 1.2); n = s.size(3, 6)
        for i, t in enumerate(s.dd(u, s.p(4, 16, 30), n)): s.F(u, t, "payroll", sal if s.g else sal * s.r.uniform(.9, 1.1), s.banks[4 + u.site], e[i % len(e)])
    def f_many_to_one(s):
        u = s.crook("refunds", "treasury", "control", "cashier", cp=True); c = s.acct("ext"); n = s.p(s.size(10, 15), s.size(7, 10), s.size(5, 8)); ty = "refund" if "refund" in u.mix else "transfer"
        for t in s.dd(u, s.p(1, 6, 25), n): s.F(u, t, ty, s.q(u, ty, s.p(.8, .6, .5)) * s.r.uniform(.7, s.p(3, 1.5, 1.1)), s.r.choice(s.pats) if ty == "refund" else s.r.choice(list(s.cc.values())), c)
    def f_one_to_many(s):
        u = s.crook("ap", "treasury", "control", cp=True); src = s.r.choice(s.banks); n = s.p(s.size(10, 15), s.size(7, 10), s.size(5, 8)); ty = "payment" if u.role == "ap" else "transfer"; a = s.q(u, ty, s.p(.85, .6, .5)); t0 = s.dd(u, 30, 1)[0]
        for t in ([t0 + timedelta(minutes=2 * i) for i in range(n)] if s.g == 0 else s.dd(u, s.p(1, 2, 12), n)): s.F(u, t, ty, a * s.r.uniform(.9, 1.1), src, s.acct("ext"))
    def f_takeover(s):
        u = s.crook(); u2 = [x for x in [s.crook() for _ in range(5)] if "device" in x.md] or [u]
        u = u2[0]; n = s.size(4, 9); ty = "payment" if u.role == "ap" else s.main(u); d = s.rawday(); dev = s.ident("mb" if s.r.random() < .5 else "wk", 4).lower(); ip = "%d.%d.%d." % (s.r.randint(30, 210), s.r.randrange(255), s.r.randrange(255)); pl = s.r.choice(AWAY)
        t = s.t(d, s.r.uniform(25, 28)) if s.g == 0 else s.dd(u, 25, 1)[0]; v = s.acct("ext")
        for i in range(n):
            s.F(u, t, ty, s.q(u, ty, s.p(.95, .8, .6)) * s.p(5, 2, 1.1), None, v if s.g < 2 and ty in OUT else None, md=dict(device=dev, ip=ip + str(s.r.randint(2, 250)) , **(dict(place=pl) if s.g < 2 else {}))); t += timedelta(minutes=s.r.uniform(.5, s.p(4, 20, 90)))
    def f_skimming(s):
        u = s.crook("cashier", "refunds", "ap", "control", "treasury"); ty = s.main(u) if u.role != "cashier" else "adjustment"; n = s.size(8, 15); c = s.acct("ext"); a = s.p(s.med(u, ty) * .25, 25, 9)
        for t in s.dd(u, s.p(3, 12, 40), n): s.F(u, t, ty, a if s.g == 0 else a * s.r.uniform(.6, 1.5), None, c if s.g < 2 or s.r.random() < .5 else None)
    def f_payroll_padding(s):
        u = s.crook("payroll", "control")
        l = [x for x in s.rows if x["_"]["benign"] == "pay_run" and (x["timestamp"] - s.start).days >= s.F0]
        if l and s.r.random() < .6:
            for o in s.r.sample(l, min(len(l), s.size(3, 7))): s.conv(o, o["amount"] * s.r.uniform(*s.p((2, 3.5), (1.35, 1.8), (1.08, 1.2))))
        else:
            e = s.r.choice(s.emps)[0]
            for t in s.dd(u, s.p(4, 14, 35), s.size(3, 8)): s.F(u, t, "payroll", s.p(2800, 800, 240) * s.r.uniform(.8, 1.2), s.banks[4 + u.site], e)
    def f_upcoding(s):
        u = s.crook("claims", "doctor"); ps = [s.r.choice(s.pats) for _ in range(s.p(2, 4, 9))]; n = s.size(6, 14)
        for t in s.dd(u, s.p(6, 18, 40), n):
            c, p = s.r.choice(u.fam); l = min(4, s.r.choices(range(5), [30, 32, 22, 11, 5])[0] + s.p(3, 2, 1)); x = s.F(u, t, "insurance_claim", p[l], s.r.choice(ps))
            if x and "code" in u.md: x["metadata"]["code"] = "%s.%d" % (c, l + 1)
    def f_petty_cash(s):
        u = s.crook("cashier", "ward", "buyer", "control"); ty = "payment" if u.role in ("cashier", "ward") else self_ty(u); c = s.petty[u.site]; n = s.size(6, 12)
        for t in s.dd(u, s.p(4, 12, 38), n): s.F(u, t, ty, s.p(s.r.choice([200, 300, 500]), s.r.choice([80, 100, 120, 150]), round(s.r.uniform(18, 60), 1)), c, s.banks[u.site] if s.g else s.acct("ext"), md={"method": "cash"})
    def f_insider_refund(s):
        u = s.crook("cashier", "refunds", "claims", cp=True); c = s.acct("ext") if s.g < 2 else s.r.choice(s.emps)[0]
        for t in s.dd(u, s.p(3, 12, 38), s.size(4, 9)): s.F(u, t, "refund", s.q(u, "refund", s.p(.97, .8, .5)) * s.r.uniform(.8, s.p(4, 1.6, 1.1)), s.r.choice(s.pats), c, md={"method": "card"})
    def f_vendor_kickback(s):
        u = s.crook("buyer", "ap"); l = defaultdict(list); ty = "payment" if u.role == "ap" else "procurement"
        for x in s.past(u, ty): l[x.get("counterparty_account") or x["account_id"]].append(x)
        if not l: return
        v = s.r.choice(sorted(l, key=lambda z: -len(l[z]))[:4]); a = sorted(x["amount"] for x in l[v])[len(l[v]) // 2]; n = s.size(5, 11); f = s.p(1.25, 1.1, 1.04)
        for t in s.dd(u, s.p(20, 30, 40), n): a *= f * s.r.uniform(.99, 1.02); s.F(u, t, ty, a, None, v)
    def f_split_po(s):
        us = [s.crook("buyer", "doctor", "ap") for _ in range(2)]; L = s.r.choices(LIMITS[:3], [2, 4, 4])[0]; t = s.dd(us[0], 30, 1)[0]; v = s.r.choice(us[0].vend).id if s.g else s.acct("ven")
        for i in range(s.p(s.size(4, 7), s.size(3, 5), s.size(2, 4))): s.F(us[i % 2], t, "procurement", L * (1 - s.r.uniform(.002, s.p(.02, .06, .2))), None, v); t += timedelta(minutes=s.r.uniform(3, s.p(25, 150, 900)))
    def f_suspense_parking(s):
        u = s.crook("control", "treasury", "ap"); sp = s.suspense[u.site]; out = s.acct("ext") if s.g < 2 else s.r.choice(s.vendors).id; a = s.q(u, "transfer", s.p(.9, .7, .5)) if "transfer" in u.mix else s.ln(8.3, .5); ts = s.dd(u, s.p(5, 14, 35), s.size(4, 8)); h = len(ts) // 2
        for i, t in enumerate(ts): s.F(u, t, "transfer" if i >= h or s.g < 2 else "adjustment", a * s.p(3, 1.3, 1) * s.r.uniform(.85, 1.15), *((s.cc[u.dept, u.site], sp) if i < h else (sp, out)))


def self_ty(u): return max(u.mix, key=u.mix.get)


def main():
    ap = argparse.ArgumentParser(); A = ap.add_argument
    A("--seed", type=int, default=1); A("--users", type=int, default=180); A("--days", type=int, default=60); A("--rows", type=int, default=60000)
    A("--fraud-share", type=float, default=.007); A("--grades", default="blatant,medium,subtle"); A("--out", required=True)
    a = ap.parse_args()
    if a.days < 20: ap.error("--days must be at least 20")
    if a.users < 30: ap.error("--users must be at least 30")
    w = World(a); tgt = int(round(a.rows * a.fraud_share)); w.benign()
    cap = int(a.rows * .5)
    if len(w.rows) > cap: w.rows = w.r.sample(w.rows, cap)
    w.routine(a.rows - len(w.rows) - tgt)
    w.fraud(tgt)
    if len(w.rows) < a.rows: w.routine(a.rows - len(w.rows))
    for x in w.rows: x["_k"] = w.r.random()
    w.rows.sort(key=lambda x: (x["timestamp"].replace(microsecond=0), x["timestamp"], x["_k"]))
    nums = {}
    fr = [x["_"]["incident"] for x in w.rows if x["_"]["fraud"]]
    for i in fr: nums.setdefault(i, len(nums) + 1)
    with open(a.out + ".ndjson", "w") as f, open(a.out + ".labels.ndjson", "w") as g:
        for x in w.rows:
            tid = w.ident("", 11); tid = "z%s.%s" % (tid[:4], tid[4:]); o = {"transaction_id": tid, "timestamp": x["timestamp"].strftime("%Y-%m-%dT%H:%M:%S") + w.tz}
            for k in ("user_id", "account_id", "department", "transaction_type", "amount", "description", "counterparty_account", "metadata"):
                if k in x: o[k] = x[k]
            f.write(json.dumps(o) + "\n"); l = x["_"]
            if l["fraud"]: l["incident"] = nums[l["incident"]]
            g.write(json.dumps({"transaction_id": tid, **l}) + "\n")


if __name__ == "__main__": main()
