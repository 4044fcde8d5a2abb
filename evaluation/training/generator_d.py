#!/usr/bin/env python3
"""Agent-based hospital finance stream with labelled fraud (standard library only)."""
import argparse, json, random, uuid, os, math
from collections import defaultdict
from datetime import datetime, timedelta

CLIN = ["Emergency", "Cardiology", "Neurology", "Oncology", "Pediatrics", "Surgery", "Radiology", "Laboratory", "Pharmacy"]
DEPTS = CLIN + ["Administration", "IT", "Finance"]
BASEP = dict(Emergency=240, Cardiology=420, Neurology=380, Oncology=900, Pediatrics=160, Surgery=1900, Radiology=310, Laboratory=55, Pharmacy=70)
CODE = dict(Emergency="EM", Cardiology="CA", Neurology="NE", Oncology="ON", Pediatrics="PE", Surgery="SU", Radiology="RA", Laboratory="LA", Pharmacy="PH", Administration="AD", IT="IT", Finance="FI")
ROT = {"Emergency", "Laboratory", "Pharmacy", "Surgery"}
WARM = 32
FREE = 20
H = 3600
DAY = 86400
LIMITS = (1000, 5000, 10000, 50000)
FIRST = "adela bram cosima dario elke farid greta hamid ines jonas kaya luca mirja nils odile pavel quinn rosa sven tilda umar vera wim xenia yusuf zora".split()
LAST = "abt brandl czerny dorn eder falk gruber hahn iske jung kern lenz moser nagl otto pohl quast rieder sauer thal ulm vogt weiss ziegler".split()


class Agent:
    pass


class Vendor:
    pass


class World:
    def __init__(s, a, lam):
        s.a = a
        s.rng = random.Random(a.seed * 7919 + 13)
        r = s.rng
        s.days = a.days
        s.start = datetime(2023, 1, 2) + timedelta(days=r.randrange(0, 900))
        s.lam = lam
        s.sc = max(0.02, a.rows / a.days / 667.0)
        s.rows = []
        s.queue = defaultdict(list)
        s.late = []
        s.used = set()
        s.seq = r.randrange(200000, 700000)
        s.hol = set(r.sample(range(5, max(8, s.days)), min(4, max(1, s.days // 22))))
        s.mk_agents()
        s.mk_vendors()
        s.payers = [s.acct("py") for _ in range(9)]
        s.payw = [1 / (i + 1) for i in range(9)]
        s.gl = {d: "gl-%s-%d" % (CODE[d].lower(), 4000 + 10 * i) for i, d in enumerate(DEPTS)}
        s.paygl = {d: "gl-%s-%d" % (CODE[d].lower(), 6000 + 10 * i) for i, d in enumerate(DEPTS)}
        s.banks = [s.acct("bk") for _ in range(7)]
        s.ap_bank = s.banks[1]
        s.codes = {}
        for d in CLIN:
            s.codes[d] = [("%s%03d" % (CODE[d], r.randrange(100, 999)), round(max(6, BASEP[d] * math.exp(r.gauss(0, .8))), 2)) for _ in range(28)]
            if r.random() < .6:
                i = r.randrange(28); s.codes[d][i] = (s.codes[d][i][0], r.choice([990.0, 985.0, 995.0, 4950.0 if BASEP[d] > 300 else 970.0]))
        s.pats = []
        s.ap_due = []
        s.refs = defaultdict(list)
        s.vi = 0

    # --- identifiers
    def acct(s, p):
        while True:
            x = "%s-%s" % (p, "".join(s.rng.choice("23456789abcdefghjkmnpqrstvwxyz") for _ in range(8)))
            if x not in s.used:
                s.used.add(x); return x

    def no(s, p):
        s.seq += s.rng.randrange(1, 4)
        return "%s%07d" % (p, s.seq)

    # --- people
    def mk_agents(s):
        r, n = s.rng, s.a.users
        plan = []
        core = [("Finance", "ap"), ("Finance", "ar"), ("Finance", "payroll"), ("Finance", "treasury"), ("Finance", "refunds"), ("IT", "batch"), ("Administration", "buyer"), ("Administration", "manager")]
        fin = ["ap", "ap", "ar", "ar", "ar", "ap", "refunds", "ar", "payroll", "treasury", "controller", "controller"]
        plan += core
        for d in CLIN:
            plan += [(d, "biller"), (d, "cashier")]
        i = 0
        while len(plan) < n:
            x = i % 20
            if x < 3: plan.append(("Finance", fin[(i // 20 * 3 + x) % 12]))
            elif x < 5: plan.append(("Administration", r.choice(["buyer", "manager", "buyer", "cashier"])))
            elif x < 6: plan.append(("IT", r.choice(["batch", "buyer"])))
            else: plan.append((CLIN[(i + x) % 9], r.choice(["biller", "biller", "biller", "cashier", "requester"])))
            i += 1
        plan = plan[:n]
        s.agents = []; ids = set()
        for k, (d, role) in enumerate(plan):
            g = Agent()
            while True:
                u = "%s.%s%02d" % (r.choice(FIRST), r.choice(LAST), r.randrange(1, 99))
                if u not in ids: ids.add(u); break
            g.id, g.dept, g.role = u, d, role
            g.hire, g.end = -999, 9999
            single = k < len(core)
            g.dormant = False
            g.xfer = None
            z = r.random()
            if not single:
                if z < .07: g.hire = r.randrange(3, max(4, s.days - 8))
                elif z < .12: g.end = r.randrange(-20, max(1, s.days // 3)); g.dormant = True
                elif z < .17 and d in CLIN: g.xfer = (r.randrange(10, max(11, s.days - 5)), r.choice([c for c in CLIN if c != d]))
            g.leaves = []
            for _ in range(r.choice([0, 1, 1, 2])):
                b = r.randrange(-20, s.days); g.leaves.append((b, b + r.choice([4, 6, 9, 13, 20])))
            if not single and r.random() < .06:
                b = r.randrange(-30, 5); g.leaves.append((b, b + r.randrange(40, 75)))
            g.rot = d in ROT and role in ("biller", "cashier") and r.random() < .75
            g.night = d == "Emergency" or r.random() < .4
            g.st = r.choice([6.5, 7, 7.5, 8, 8, 8.5, 9, 10])
            g.w = math.exp(r.gauss(0, .45))
            g.term = "T-%03d" % r.randrange(1, 320)
            g.remote = r.random() < .25
            g.salary = round(math.exp(r.gauss(8.0, .28)), 2)
            g.acct = s.acct("em"); g.newacct = (r.randrange(0, s.days), s.acct("em")) if r.random() < .05 else None
            off = r.randrange(7); g.roster = {}
            for day in range(-WARM, s.days + 1):
                if day < g.hire or day >= g.end or any(x <= day <= y for x, y in g.leaves): continue
                wd = (s.start + timedelta(days=day)).weekday()
                if g.rot:
                    if (day + off) % 7 >= 5: continue
                    sh = ((day + off) // 7 + k) % (3 if g.night else 2)
                    b = (6, 14, 22)[sh] * H
                    if day in s.hol and r.random() < .3: continue
                    g.roster[day] = (b, b + 8 * H)
                else:
                    if (wd >= 5 or day in s.hol):
                        if r.random() > (.12 if d in CLIN else .025): continue
                        b = 9 * H; g.roster[day] = (b, b + 5 * H)
                    elif r.random() < .025: continue
                    else:
                        b = int((g.st + r.uniform(-.2, .3)) * H); g.roster[day] = (b, b + int(r.uniform(7.6, 9 if r.random() < .92 else 11.5) * H))
            s.agents.append(g)
        s.byid = {g.id: g for g in s.agents}
        s.mgr = [g for g in s.agents if g.role in ("manager", "controller")] or s.agents[:1]

    def deptof(s, g, day):
        return g.xfer[1] if g.xfer and day >= g.xfer[0] else g.dept

    # --- vendors
    def mk_vendor(s, since=-999):
        r = s.rng; v = Vendor()
        v.acct = s.acct("vn"); v.since = since; v.dept = r.choice(DEPTS)
        v.base = math.exp(r.gauss(6.7, 1.1))
        v.items = [("itm%05d" % r.randrange(99999), round(v.base * math.exp(r.gauss(0, .5)), 2)) for _ in range(r.randrange(2, 9))]
        if r.random() < .2:
            L = r.choice([1000, 1000, 5000, 5000, 10000, 50000]); v.items.append(("itm%05d" % r.randrange(99999), round(L * r.choice([.99, .98, .995, .97, .999]), 2)))
        v.w = math.exp(r.gauss(0, .9))
        v.standing = None
        return v

    def mk_vendors(s):
        r = s.rng
        s.vendors = [s.mk_vendor() for _ in range(90)]
        for v in r.sample(s.vendors, 16): v.standing = (r.choice([7, 14, 30, 30]), r.randrange(30), round(v.base * r.choice([1, 2, 3]), 2))
        for _ in range(max(4, s.days // 5)): s.vendors.append(s.mk_vendor(r.randrange(0, s.days)))

    # --- row emission: one path for honest and dishonest rows alike
    def stamp(s, t):
        return (s.start + timedelta(seconds=int(t))).strftime("%Y-%m-%dT%H:%M:%SZ")

    def approver(s, g, amt):
        r = s.rng
        if amt < 600 and r.random() < .12: return g.id
        if r.random() < .006: return g.id
        return r.choice(s.mgr).id

    def emit(s, g, t, typ, acct, cp, amt, meta=None, dept=None, desc=None, benign=None, chan=None, term=None, fraud=None):
        r = s.rng; amt = round(max(.01, amt), 2)
        day = int(t // DAY)
        m = {"channel": chan or ("desktop" if r.random() < .86 else ("remote" if g.remote or r.random() < .1 else "web")),
             "terminal": term or (g.term if r.random() < .9 else "T-%03d" % r.randrange(1, 320))}
        dp = dept or s.deptof(g, day)
        if r.random() < .8: m["cost_centre"] = CODE[dp] + "-%02d" % (1 + hash_(dp) % 4)
        f = {}
        if typ == "billing": f = {"charge_code": lambda: r.choice(s.codes.get(dp, s.codes["Emergency"]))[0], "encounter": lambda: s.no("EN"), "units": lambda: 1, "patient_class": lambda: r.choice(["in", "out", "out", "day"])}
        elif typ == "insurance_claim": f = {"encounter": lambda: s.no("EN"), "claim_no": lambda: s.no("CL"), "drg_group": lambda: r.choice("ABCDEFGH") + str(r.randrange(10, 99))}
        elif typ == "payment": f = {"method": lambda: r.choice(["eft", "card", "eft", "cheque", "cash"]), "doc_no": lambda: s.no("IN")}
        if typ == "payment" and acct.startswith("bk"):
            f["po_no"] = lambda: s.no("PO"); f["approver"] = lambda: s.approver(g, amt)
        elif typ == "refund": f = {"reason": lambda: r.choice(["complaint", "overpaid", "cancelled", "returned_goods", "insurer_paid", "small_balance"]), "method": lambda: r.choice(["card", "eft"]), "original_ref": lambda: str(uuid.UUID(int=r.getrandbits(128), version=4)), "approver": lambda: s.approver(g, amt)}
        elif typ == "adjustment": f = {"reason": lambda: r.choice(["contractual", "small_balance", "recode", "denied", "write_off"]), "original_ref": lambda: str(uuid.UUID(int=r.getrandbits(128), version=4))}
        elif typ == "transfer": f = {"reference": lambda: s.no("TR"), "purpose": lambda: r.choice(["liquidity", "recharge", "settlement", "top_up"]), "approver": lambda: s.approver(g, amt)}
        elif typ == "payroll": f = {"period": lambda: (s.start + timedelta(days=day)).strftime("%Y-%m"), "run_id": lambda: "R%05d" % (day + 40), "element": lambda: r.choice(["net", "overtime", "net"]), "approver": lambda: s.approver(g, amt)}
        elif typ == "procurement": f = {"po_no": lambda: s.no("PO"), "doc_no": lambda: s.no("IN"), "item": lambda: "itm%05d" % r.randrange(99999), "qty": lambda: r.choice([1, 1, 2, 5]), "approver": lambda: s.approver(g, amt)}
        for k, fn in f.items():
            v = (meta or {}).get(k)
            if v is None: v = fn()
            if r.random() < .96: m[k] = v
        for k, v in (meta or {}).items():
            if k not in f and v is not None: m[k] = v
        tid = str(uuid.UUID(int=r.getrandbits(128), version=4))
        rec = {"transaction_id": tid, "timestamp": s.stamp(t), "user_id": g.id, "account_id": acct, "department": dp, "transaction_type": typ, "amount": amt}
        if r.random() < .55: rec["description"] = desc or DESC(r, typ, m)
        if cp: rec["counterparty_account"] = cp
        rec["metadata"] = m
        row = {"t": int(t), "rec": rec, "g": g, "benign": benign, "fr": fraud}
        s.rows.append(row)
        return row

    # --- work queue
    def add(s, day, role, dept, fn, at=None, tries=0):
        if day <= s.days: s.queue[day].append((role, dept, fn, at, tries))

    def find(s, day, role, dept, clock=None):
        c = [g for g in s.here if g.role == role and (dept is None or s.deptof(g, day) == dept)]
        if clock is not None: c = [g for g in c if g.roster[day][0] <= clock <= g.roster[day][1]]
        return s.rng.choices(c, [g.w for g in c])[0] if c else None

    def run_day(s, day):
        r = s.rng
        s.here = [g for g in s.agents if day in g.roster]
        wd = (s.start + timedelta(days=day)).weekday(); off = wd >= 5 or day in s.hol
        s.arrivals(day, wd, off)
        work = defaultdict(list)
        for role, dept, fn, at, tries in s.queue.pop(day, []):
            g = s.find(day, role, dept); dp = None
            if g is None or len(work[g]) > 90:
                if not off and (tries >= 1 or dept in CLIN) and s.here and r.random() < .8:
                    c = [x for x in s.here if x.role == role] or [x for x in s.here if (dept is None or x.dept == dept)] or s.here
                    g = r.choice(c); dp = dept or "Finance"
                elif tries > 9: continue
                else:
                    s.add(day + 1, role, dept, fn, at, tries + 1); continue
            work[g].append((fn, at, dp))
        for g, ts in work.items():
            a, b = g.roster[day]
            tm = sorted(a + (b - a) * (r.random() if r.random() < .5 else r.betavariate(2, 2.4)) for _ in ts)
            clock = a
            for (fn, at, dp), x in zip(ts, tm):
                if at is not None: fn(g, day * DAY + at + r.randrange(0, 900), dp); continue
                if not g.rot and 12.2 * H < x < 12.9 * H and r.random() < .8: x += 2400
                clock = max(clock + r.uniform(8, 40), x)
                e = fn(g, day * DAY + clock, dp)
                if e: clock = max(clock, e - day * DAY)
        late, s.late = s.late, []
        for role, dept, fn, t in late:
            g = s.find(day, role, dept, t - day * DAY)
            if g: fn(g, t, None)
            else: s.add(day + 1, role, dept, fn)

    def arrivals(s, day, wd, off):
        r = s.rng; k = s.sc
        date = s.start + timedelta(days=day)
        for d in CLIN:
            w = dict(Emergency=1.5, Laboratory=1.6, Pharmacy=1.4, Surgery=.7, Radiology=1.2).get(d, 1)
            n = 11 * s.lam * k * w * ((.75 if d in ROT else .12) if off else 1.1) * math.exp(r.gauss(0, .1))
            for _ in range(int(n + r.random())): s.add(day, "biller", d, s.encounter(d))
        if not off:
            for _ in range(int(22 * k + r.random() * 4)): s.purchase(day)
            for v in s.vendors:
                if v.standing and day % v.standing[0] == v.standing[1] % v.standing[0]: s.invoice(day, v, v.standing[2], "standing_invoice")
            s.add(day, "treasury", "Finance", s.pooling(day))
            if wd in (1, 4) and s.ap_due: s.add(day, "ap", "Finance", s.payrun(day), at=r.choice([10, 14, 15]) * H)
            if r.random() < .06: s.add(day, r.choice(["ar", "controller"]), "Finance", s.bulk(), at=None)
            if r.random() < .9 * min(1, k):
                for _ in range(r.randrange(1, 4)): s.add(day, *r.choice([("manager", "Administration"), ("controller", "Finance"), ("treasury", "Finance")]), s.recharge("liquidity"))
            if wd == 3: s.add(day, "payroll", "Finance", s.agency(day))
            if (date + timedelta(days=1)).month != date.month or (date.weekday() == 4 and (date + timedelta(days=3)).month != date.month):
                for d in DEPTS:
                    for _ in range(r.randrange(1, 4)): s.add(day, r.choice(["controller", "ar", "treasury"]), "Finance", s.monthend(d))
        if date.day == 25 or (date.day == 10 and True):
            s.add(day, "payroll", "Finance", s.payroll(date.day == 25), at=11 * H)
        if r.random() < .35 * min(1, k): s.add(day, "batch", "IT", s.nightbatch(), at=2 * H)

    # --- order to cash
    def encounter(s, d):
        def go(g, t, dp):
            r = s.rng
            if s.pats and r.random() < .35: p = r.choice(s.pats[-4000:])
            else:
                p = (s.acct("pt"), s.acct("cd"), r.choices(s.payers, s.payw)[0]); s.pats.append(p)
            en = s.no("EN"); tot = 0; last = None; b = "stand_in" if dp else None
            for _ in range(r.choice([1, 1, 1, 2, 2, 3, 4])):
                c, pr = s.codes[d][min(27, int(r.expovariate(.16)))]
                u = r.choice([1, 1, 1, 1, 2, 3]) if pr < 300 else 1
                amt = pr * u * (1 if r.random() < .8 else r.uniform(.85, 1.2))
                last = s.emit(g, t, "billing", p[0], s.gl[d] if r.random() < .6 else None, amt, dict(charge_code=c, encounter=en, units=u), dept=dp, benign=b)
                tot += round(amt, 2); t += r.uniform(6, 70)
                if r.random() < .004:
                    dup = s.emit(g, t, "billing", p[0], last["rec"].get("counterparty_account"), amt, dict(charge_code=c, encounter=en, units=u), dept=dp, benign="honest_duplicate")
                    s.add(int(t // DAY) + r.randrange(1, 5), "ar", "Finance", s.simple("adjustment", p[0], None, amt, dict(reason="recode", original_ref=dup["rec"]["transaction_id"])))
            day = int(t // DAY); ins = r.random() < .78
            cop = tot * r.choice([.1, .2, .2, .3]) if ins else tot
            if r.random() < .05 and r.random() < .6: cop = 0
            if ins:
                cov = tot - cop
                s.add(day + r.choice([0, 1, 1, 2, 3]) + 1, *r.choice([("biller", d), ("ar", "Finance")]), s.claim(p, en, cov))
            if cop > 1:
                if r.random() < .45: s.late.append(("cashier", d, s.receipt(p, en, cop), t + r.expovariate(1 / 2400)))
                elif r.random() < .75: s.add(day + int(r.uniform(5, 26)), *r.choice([("ar", "Finance"), ("cashier", d)]), s.receipt(p, en, cop))
            return t
        return go

    def simple(s, typ, acct, cp, amt, meta, benign=None):
        def go(g, t, dp):
            s.emit(g, t, typ, acct, cp, amt, meta, dept=dp, benign=benign or ("stand_in" if dp else None)); return t
        return go

    def claim(s, p, en, cov):
        def go(g, t, dp):
            r = s.rng; cl = s.no("CL")
            x = s.emit(g, t, "insurance_claim", p[0], p[2], cov, dict(encounter=en, claim_no=cl), dept=dp, benign="stand_in" if dp else None)
            s.add(int(t // DAY) + int(r.triangular(5, 24, 11)), "ar", "Finance", s.remit(p, en, cl, cov, x["rec"]["transaction_id"]))
            return t
        return go

    def remit(s, p, en, cl, cov, ref, again=True):
        def go(g, t, dp):
            r = s.rng; b = "stand_in" if dp else None; z = r.random()
            if z < .07 and again:
                s.emit(g, t, "adjustment", p[0], p[2], cov, dict(reason="denied", original_ref=ref), dept=dp, benign=b)
                s.add(int(t // DAY) + r.randrange(2, 7), "ar", "Finance", s.claim(p, en, cov * r.choice([1, .9])) if again else None)
                return t
            pay = cov * r.choice([1, .9, .85, .8, .7])
            x = s.emit(g, t, "payment", p[0], p[2], pay, dict(method="eft", doc_no=cl), dept=dp, benign=b)
            if cov - pay > .5: t += r.uniform(5, 50); s.emit(g, t, "adjustment", p[0], None, cov - pay, dict(reason="contractual", original_ref=x["rec"]["transaction_id"]), dept=dp, benign=b)
            if r.random() < .03: s.add(int(t // DAY) + r.randrange(2, 12), "refunds", "Finance", s.refund(p, x, pay * r.choice([.1, .2, 1])))
            return t
        return go

    def receipt(s, p0, en, amt):
        def go(g, t, dp):
            r = s.rng; p = p0
            if r.random() < .03:
                s.emit(g, t, "adjustment", p[0], r.choice([None, None, p[1], p[2], r.choice(s.pats)[0]]), amt, dict(reason=r.choice(["write_off", "overpaid", "recode"])), dept=dp); return t
            if r.random() < .01: p = (p[0], s.acct("bk"), p[2])
            if r.random() < .04 and amt < 60:
                s.emit(g, t, "adjustment", p[0], None, amt, dict(reason="small_balance"), dept=dp); return t
            parts = [amt] if amt < 400 or r.random() < .85 else [amt / 3] * 3
            x = None
            for i, q in enumerate(parts):
                if i: s.add(int(t // DAY) + 30 * i, g.role, None, s.simple("payment", p[0], p[1], q, dict(encounter=en), None))
                else: x = s.emit(g, t, "payment", p[0], p[1] if r.random() < .7 else None, q, dict(method=r.choice(["card", "card", "cash", "eft"]), encounter=en), dept=dp, benign="stand_in" if dp else None)
            if r.random() < .05:
                role = r.choice([("refunds", "Finance"), ("refunds", "Finance"), ("cashier", s.deptof(g, int(t // DAY)))])
                s.add(int(t // DAY) + r.choice([0, 1, 3, 6, 10]) + 1, *role, s.refund(p, x, x["rec"]["amount"] * r.choice([1, 1, .5, .25])))
            return t
        return go

    def refund(s, p, x, amt):
        def go(g, t, dp):
            s.emit(g, t, "refund", p[0], p[1], amt, dict(original_ref=x["rec"]["transaction_id"]), dept=dp, benign="honest_refund"); return t
        return go

    # --- purchase to pay
    def purchase(s, day):
        r = s.rng
        vs = [v for v in s.vendors if v.since <= day]
        if r.random() < .015: v = s.mk_vendor(day)
        else: v = r.choices(vs, [v.w for v in vs])[0]
        it, pr = r.choice(v.items); q = r.choice([1, 1, 1, 2, 3, 5, 10]) if pr < 2000 else 1
        b = "list_price" if r.random() < .75 else None; amt = pr * q
        if not b: amt *= math.exp(r.gauss(0, .35))
        if r.random() < .008: amt = round(math.exp(r.uniform(11, 13.4)), 0); b = "large_purchase"
        elif v.since > day - 30: b = "new_vendor"
        s.invoice(day, v, amt, b, it, q)

    def invoice(s, day, v, amt, b, it=None, q=1):
        r = s.rng; po, doc = s.no("PO"), s.no("IN"); amt = round(amt, 2)
        role = r.choice([("buyer", None), ("requester", None), ("biller", v.dept) if v.dept in CLIN else ("buyer", None), ("buyer", None)])
        adv = r.random() < .04
        def go(g, t, dp):
            m = dict(po_no=po, doc_no=doc, item=it, qty=q)
            x = s.emit(g, t, "procurement", s.gl[s.deptof(g, int(t // DAY))], v.acct, amt, m, dept=dp, benign=b or ("stand_in" if dp else None))
            d2 = int(t // DAY)
            if r.random() < .007:
                s.emit(g, t + r.uniform(30, 3000), "procurement", x["rec"]["account_id"], v.acct, amt, m, dept=dp, benign="honest_duplicate")
            if not adv:
                inv = (d2 + r.choice([4, 10, 14, 14, 21, 30]), v, amt, po, doc, b)
                if r.random() < .12: s.add(d2 + r.randrange(1, 8), r.choice(["ap", "ap", "controller"]), "Finance", s.pay1(inv))
                else: s.ap_due.append(inv)
            elif r.random() < .04: pass
            if r.random() < .02: s.add(d2 + r.randrange(5, 20), "buyer", None, s.simple("refund", s.gl["Administration"], v.acct, amt * r.choice([1, .5, .3]), dict(reason="returned_goods", original_ref=x["rec"]["transaction_id"]), "honest_refund"))
            return t
        if adv:
            s.add(day, "ap", "Finance", s.pay1((day, v, amt, po, doc, b)))
            s.add(day + r.randrange(7, 28), *role, go)
        else: s.add(day, *role, go)

    def pay1(s, inv):
        def go(g, t, dp):
            _, v, amt, po, doc, b = inv
            s.emit(g, t, "payment", s.ap_bank, v.acct, amt, dict(method="eft", doc_no=doc, po_no=po, approver=s.approver(g, amt)), dept=dp, benign=b or ("stand_in" if dp else None)); return t
        return go

    def payrun(s, day):
        def go(g, t, dp):
            r = s.rng; due = [i for i in s.ap_due if i[0] <= day]; s.ap_due = [i for i in s.ap_due if i[0] > day]
            ap = r.choice(s.mgr).id; same = r.random() < .3; bid = s.no("B"); r.shuffle(due)
            for _, v, amt, po, doc, b in due:
                s.emit(g, t, "payment", s.ap_bank, v.acct, amt, dict(method="eft", doc_no=doc, po_no=po, approver=ap, batch=bid), dept=dp, chan="batch" if same else None, benign=("pay_run" if len(due) >= 40 else "batch_same_second" if same else b))
                if not same: t += r.uniform(.5, 7)
                if r.random() < .004: s.add(day + r.randrange(2, 6), "ap", "Finance", s.simple("payment", s.ap_bank, v.acct, amt, dict(method="eft", doc_no=doc, po_no=po), "honest_duplicate"))
            return t
        return go

    # --- payroll
    def payroll(s, main):
        def go(g, t, dp):
            r = s.rng; day = int(t // DAY); ap = r.choice(s.mgr).id; same = r.random() < .3
            for e in s.agents:
                if e.hire > day or e.end < day - 20: continue
                if not main and r.random() > .12: continue
                ac = e.newacct[1] if e.newacct and day >= e.newacct[0] else e.acct
                amt = e.salary if main else e.salary * r.uniform(.04, .25)
                if main and e.hire > day - 28: amt *= (day - e.hire + 1) / 30
                elif main and r.random() < .25: amt *= r.uniform(1.01, 1.2)
                s.emit(g, t, "payroll", s.paygl[e.dept], ac, amt, dict(element="net" if main else "overtime", approver=ap), dept=dp, chan="batch" if same else None, benign="pay_run")
                if not same: t += r.uniform(.3, 4)
            return t
        return go

    def agency(s, day):
        if not hasattr(s, "agy"): s.agy = [(s.acct("em"), round(s.rng.uniform(600, 1400), 2)) for _ in range(6)]
        def go(g, t, dp):
            r = s.rng
            if r.random() < .35: s.agy[r.randrange(len(s.agy))] = (s.acct("em"), round(r.uniform(600, 1400), 2))
            for ac, am in s.agy:
                if r.random() < .8: s.emit(g, t, "payroll", s.paygl[r.choice(CLIN)], ac, am * r.choice([1, 1, .8, 1.1]), dict(element="agency", approver=r.choice(s.mgr).id), dept=dp); t += r.uniform(10, 60)
            return t
        return go

    # --- treasury and accounting
    def pooling(s, day):
        def go(g, t, dp):
            r = s.rng; hub = s.banks[0]
            for b in s.banks[1:]:
                if r.random() < .45:
                    am = r.choice([round(math.exp(r.gauss(9.8, .8)), -3) or 1000, round(math.exp(r.gauss(9.8, .8)), 2)])
                    fwd = r.random() < .7
                    s.emit(g, t, "transfer", b if fwd else hub, hub if fwd else b, am, dict(purpose="liquidity"), dept=dp, benign="cash_pooling"); t += r.uniform(15, 120)
                    if r.random() < .15: s.emit(g, t + r.uniform(3600, 9000), "transfer", hub if fwd else b, b if fwd else hub, am, dict(purpose="liquidity"), dept=dp, benign="cash_pooling")
            if r.random() < .25:
                to = r.choice(s.vendors).acct if r.random() < .6 else s.acct("bk"); am = math.exp(r.gauss(8, 1))
                s.emit(g, t, "transfer", s.banks[2], to, am, dict(purpose="settlement"), dept=dp)
                if r.random() < .4: s.add(day + r.randrange(1, 4), "treasury", "Finance", s.simple("transfer", to, s.banks[2], am, dict(purpose="settlement"), "returned_transfer"))
            return t
        return go

    def recharge(s, pu):
        def go(g, t, dp):
            a, b = s.rng.sample(DEPTS, 2)
            z = s.rng.random()
            src, to = (s.gl[a], s.gl[b]) if z < .4 else (s.gl[a], s.rng.choice(s.banks)) if z < .65 else (s.banks[3], s.rng.choice(s.agents).acct) if z < .8 else (s.banks[3], s.acct("bk"))
            s.emit(g, t, "transfer", src, to, math.exp(s.rng.gauss(7.3, .8)), dict(purpose=s.rng.choice(["recharge", "top_up", "settlement"])), dept=dp); return t
        return go

    def monthend(s, d):
        def go(g, t, dp):
            r = s.rng; t2 = t + (r.uniform(0, 3.5 * H) if r.random() < .3 else 0)
            if r.random() < .5: s.emit(g, t2, "transfer", s.gl[d], s.gl[r.choice(DEPTS)], math.exp(r.gauss(8.8, .9)), dict(purpose="recharge"), dept=dp, benign="month_end")
            else: s.emit(g, t2, "adjustment", s.gl[d], None, math.exp(r.gauss(7.9, 1.1)), dict(reason="accrual"), dept=dp, benign="month_end")
            return t
        return go

    def bulk(s):
        def go(g, t, dp):
            r = s.rng; n = r.randrange(12, 46); same = r.random() < .4; am = round(r.uniform(4, 90), 2) if r.random() < .5 else None
            for p in r.sample(s.pats, min(n, len(s.pats))):
                s.emit(g, t, "adjustment", p[0], None, am or r.uniform(5, 400), dict(reason="recode"), dept=dp, benign="bulk_correction")
                if not same: t += r.uniform(2, 12)
            return t
        return go

    def nightbatch(s):
        def go(g, t, dp):
            r = s.rng; n = r.randrange(5, 22)
            for p in r.sample(s.pats, min(n, len(s.pats))):
                s.emit(g, t, "payment", p[0], p[2], math.exp(r.gauss(5, .9)), dict(method="eft"), dept=dp, chan="batch", benign="batch_same_second")
            return t
        return go

    def simulate(s):
        for d in range(-WARM, s.days): s.run_day(d)
        s.rows = [x for x in s.rows if 0 <= x["t"] < s.days * DAY]
        return s


def hash_(x): return sum(map(ord, x))


WORDS = dict(billing=["service charge", "treatment", "consultation", "procedure"], payment=["payment", "settlement", "remittance", "receipt"], refund=["refund", "credit to customer", "repayment"], transfer=["internal transfer", "funds movement", "account transfer"], adjustment=["balance correction", "adjustment", "write-down"], insurance_claim=["claim submission", "insurer claim"], payroll=["salary", "pay", "wages"], procurement=["supplies", "order", "goods and services"])


def DESC(r, typ, m):
    w = r.choice(WORDS[typ]); k = r.random()
    if k < .4:
        for f in ("doc_no", "encounter", "po_no", "reference", "period", "reason"):
            if f in m: return "%s %s" % (w, m[f])
    return w


def tag(s):
    cnt = defaultdict(int); rep = defaultdict(int)
    for x in s.rows:
        cnt[x["g"].id, x["t"] // DAY] += 1; rep[x["g"].id, x["t"] // DAY, x["rec"]["amount"]] += 1
    tot = defaultdict(list)
    for (u, _), n in cnt.items(): tot[u].append(n)
    for x in s.rows:
        g, d = x["g"], x["t"] // DAY
        if x["benign"]: continue
        am = x["rec"]["amount"]; h = x["t"] % DAY / H; L = tot[g.id]
        if any(.965 * k <= am < k for k in LIMITS): b = "near_limit_price"
        elif 0 <= d - g.hire < 12: b = "new_hire"
        elif g.xfer and 0 <= d - g.xfer[0] < 15: b = "department_transfer"
        elif any(e - a >= 9 and 0 < d - e <= 5 for a, e in g.leaves): b = "return_from_leave"
        elif d in s.hol: b = "holiday"
        elif h >= 22 or h < 6: b = "night_shift"
        elif cnt[g.id, d] > 2.2 * sum(L) / len(L) and cnt[g.id, d] > 10: b = "busy_clerk"
        elif rep[g.id, d, am] >= 4: b = "list_price"
        else: b = None
        x["benign"] = b


# ------------------------------------------------------------------ fraud
class Crook:
    def __init__(c, s, tmax):
        c.s, c.r, c.tmax = s, s.rng, tmax
        c.rows0 = sorted(s.rows, key=lambda x: x["t"])
        c.by = defaultdict(list)
        for x in c.rows0: c.by[x["rec"]["transaction_type"]].append(x)
        c.byu = defaultdict(list)
        for x in c.rows0: c.byu[x["g"].id].append(x)
        c.n = 0; c.buf = None; c.used = defaultdict(int)

    def who(c, *roles, k=None):
        L = [g for g in c.s.agents if g.role in roles and len(c.byu[g.id]) > 25 and not g.dormant] or [g for g in c.s.agents if len(c.byu[g.id]) > 5] or c.s.agents
        if k: return c.r.sample(L, min(k, len(L)))
        m = min(c.used[g.id] for g in L); g = c.r.choice([g for g in L if c.used[g.id] <= m + 1]); c.used[g.id] += 1
        return g

    def d0(c, span=0):
        hi = max(FREE + 1, c.s.days - 1 - span)
        return c.r.randrange(FREE, hi)

    def t(c, g, day):
        for d in list(range(day, day + 12)):
            if d in g.roster and d >= FREE:
                a, b = g.roster[d]; return d * DAY + c.r.uniform(a, b)
        return day * DAY + c.r.uniform(9, 17) * H

    def put(c, g, t, typ, acct, cp, amt, meta=None, **k):
        c.buf.append((g, t, typ, acct, cp, amt, meta, k))

    def hist(c, g, typ=None):
        L = [x["rec"] for x in c.byu[g.id] if typ is None or x["rec"]["transaction_type"] == typ]
        return L or [x["rec"] for x in c.byu[g.id]] or [c.rows0[0]["rec"]]

    def med(c, typ):
        L = c.by[typ] or c.rows0
        return c.r.choice(L)["rec"]["amount"]

    def G(c, gr, b, m, s): return dict(blatant=b, medium=m, subtle=s)[gr]
    def N(c, gr, b, m, s): return c.r.randrange(*[(x, y + 1) for x, y in [c.G(gr, b, m, s)]][0])
    def U(c, gr, b, m, s): return c.r.uniform(*c.G(gr, b, m, s))
    def pat(c): return c.r.choice(c.s.pats)
    def vend(c, new=False, day=0):
        if new: return c.s.mk_vendor(day)
        return c.r.choice([v for v in c.s.vendors if v.since < 0])
    def like(c, g, q):
        k = {kk: v for kk, v in q["metadata"].items() if kk in ("charge_code", "units", "patient_class", "reason", "method", "purpose", "element")}
        return k

    def amount_spike(c, gr):
        g = c.who("biller", "cashier", "buyer", "ap", "ar", "treasury"); d = c.d0(4)
        for _ in range(c.N(gr, (1, 3), (1, 2), (1, 2))):
            q = c.r.choice(c.hist(g)); L = sorted(x["amount"] for x in c.hist(g, q["transaction_type"])); base = L[int(.75 * len(L))]
            c.put(g, c.t(g, d + c.r.randrange(3)), q["transaction_type"], q["account_id"], q.get("counterparty_account"), base * c.U(gr, (20, 60), (6, 12), (2.5, 4)), c.like(g, q))

    def off_hours_run(c, gr):
        g = c.who("ap", "ar", "buyer", "refunds", "treasury"); d = c.d0(2)
        h = c.U(gr, (1, 3.5), (22, 23.3), (19.5, 21)); t = d * DAY + h * H
        for _ in range(c.N(gr, (10, 22), (6, 11), (3, 6))):
            q = c.r.choice(c.hist(g)); c.put(g, t, q["transaction_type"], q["account_id"], q.get("counterparty_account"), q["amount"] * c.U(gr, (2, 5), (1, 2.2), (.8, 1.5)), c.like(g, q)); t += c.r.uniform(20, 300)

    def burst(c, gr):
        g = c.who("cashier", "ar", "refunds", "biller"); t = c.t(g, c.d0(2)); typ = c.r.choice(["refund", "payment", "adjustment"])
        n = c.N(gr, (18, 30), (10, 16), (6, 9)); gap = c.G(gr, 7, 50, 220); p = c.pat(); spread = c.G(gr, .2, .5, .9); p2 = [c.pat() for _ in range(4)]
        for _ in range(n):
            k = c.r.choice(p2) if c.r.random() < spread else p
            c.put(g, t, typ, k[0], None if typ == "adjustment" else p[1], c.med(typ) * c.U(gr, (1.5, 4), (1, 2), (.8, 1.3)) if typ != "payment" else math.exp(c.r.gauss(5.5, .6)) * c.G(gr, 4, 2, 1)); t += c.r.expovariate(1 / gap) + 1

    def structuring(c, gr):
        L = c.r.choice(c.G(gr, [10000, 50000], [5000, 10000], [1000, 5000, 10000])); v = c.vend(c.r.random() < .5); d = c.d0(c.G(gr, 2, 6, 18))
        g = c.who("ap", "buyer", "treasury"); typ = {"ap": "payment", "buyer": "procurement"}.get(g.role, "transfer"); src = {"payment": c.s.ap_bank, "procurement": c.s.gl[g.dept]}.get(typ, c.s.banks[2])
        t0 = c.t(g, d)
        for i in range(c.N(gr, (7, 13), (4, 8), (3, 5))):
            t = t0 + i * c.r.uniform(120, 900) if gr == "blatant" else c.t(g, d + c.r.randrange(c.G(gr, 1, 6, 18)))
            c.put(g, t, typ, src, v.acct, L * c.U(gr, (.985, .999), (.96, .995), (.9, .985)))

    def duplicates(c, gr):
        L = [x for x in c.by["payment"] if x["rec"]["account_id"] == c.s.ap_bank and FREE * DAY <= x["t"] < (c.s.days - 12) * DAY] or c.by["payment"]
        n = c.N(gr, (4, 8), (2, 3), (1, 2)); big = sorted(c.r.sample(L, min(8, len(L))), key=lambda x: -x["rec"]["amount"])
        g = c.who("ap")
        for i in range(n):
            x = big[0] if gr == "blatant" else big[i % len(big)]; q = x["rec"]; d = int(x["t"] // DAY) + c.N(gr, (0, 1), (1, 5), (5, 11))
            doc = q["metadata"].get("doc_no", c.s.no("IN"))
            if gr == "subtle": doc = doc[:-1] + c.r.choice("0123456789")
            c.put(g, max(c.t(g, d), x["t"] + 600), "payment", q["account_id"], q.get("counterparty_account"), q["amount"], dict(method="eft", doc_no=doc, po_no=q["metadata"].get("po_no"), approver=c.s.approver(g, q["amount"])))

    def refund_writeoff_cycle(c, gr):
        g = c.who("cashier", "refunds"); d = c.d0(c.G(gr, 3, 12, 25)); own = c.pat(); ps = [c.pat() for _ in range(c.G(gr, 1, 3, 6))]
        for i in range(c.N(gr, (4, 9), (3, 5), (2, 3))):
            p = c.r.choice(ps); am = c.med("payment") if gr != "subtle" else c.r.uniform(40, 180); am = min(am, 9000) * c.G(gr, 2.5, 1.2, 1)
            t = c.t(g, d + (c.r.randrange(c.G(gr, 2, 10, 24))))
            if gr != "subtle": c.put(g, t, "payment", p[0], own[1], am, dict(method="card"))
            c.put(g, t + c.r.uniform(100, 4000), "refund", p[0], own[1], am)
            if c.r.random() < .6: c.put(g, t + c.r.uniform(4000, 8000), "adjustment", p[0], None, am, dict(reason="write_off"))

    def dormant_wake(c, gr):
        L = [g for g in c.s.agents if g.dormant or any(b - a > 30 for a, b in g.leaves)] or [c.who("biller")]
        g = c.r.choice(L); d = c.d0(6); last = [int(x["t"] // DAY) for x in c.byu[g.id]]
        for _ in range(12):
            if any(abs(d - z) < c.G(gr, 18, 10, 5) for z in last): d = c.d0(6)
        for i in range(c.N(gr, (6, 14), (4, 8), (2, 4))):
            typ = c.r.choice(c.G(gr, ["transfer", "refund", "payment"], ["refund", "payment", "adjustment"], ["adjustment", "billing", "refund"])); p = c.pat()
            t = d * DAY + c.U(gr, (0, 24), (7, 21), (9, 16)) * H + (c.r.randrange(c.G(gr, 1, 3, 5)) * DAY)
            if typ == "transfer": c.put(g, t, typ, c.s.banks[3], c.s.acct("bk"), math.exp(c.r.gauss(9, .6)))
            else: c.put(g, t, typ, p[0], p[1] if typ in ("refund", "payment") else None, c.med(typ) * c.U(gr, (3, 8), (1.5, 3), (.8, 1.6)))

    def outside_role(c, gr):
        g = c.who("biller", "requester", "cashier", "batch"); d = c.d0(c.G(gr, 2, 5, 12)); emp = c.s.acct("em")
        for i in range(c.N(gr, (4, 10), (3, 6), (1, 3))):
            typ = c.r.choice(c.G(gr, ["payroll", "transfer"], ["payroll", "transfer", "payment"], ["procurement", "refund", "adjustment"])); t = c.t(g, d + c.r.randrange(c.G(gr, 2, 5, 12)))
            p = c.pat(); v = c.vend()
            src, cp, am = {"payroll": (c.s.paygl[g.dept], emp, g.salary * c.U(gr, (1.5, 3), (.7, 1.2), (.5, 1))), "transfer": (c.s.banks[2], emp if gr == "blatant" else v.acct, math.exp(c.r.gauss(8.5, .5)) * c.G(gr, 3, 1, .5)), "payment": (c.s.ap_bank, v.acct, math.exp(c.r.gauss(7.5, .6)))}.get(typ, (p[0] if typ != "procurement" else c.s.gl[g.dept], v.acct if typ == "procurement" else p[1] if typ == "refund" else None, c.med(typ)))
            c.put(g, t, typ, src, cp, am)

    def escalating_payee(c, gr):
        g = c.who("ap", "treasury"); n = c.N(gr, (6, 10), (5, 8), (4, 6)); gap = c.G(gr, 1, 3, 6); d = c.d0(n * gap + 1); v = c.vend(True, d); am = c.U(gr, (400, 900), (400, 900), (300, 700)); f = c.U(gr, (1.9, 2.4), (1.4, 1.7), (1.15, 1.3))
        for i in range(n):
            c.put(g, c.t(g, d + i * gap), "payment" if g.role == "ap" else "transfer", c.s.ap_bank if g.role == "ap" else c.s.banks[2], v.acct, am * f ** i * c.r.uniform(.95, 1.05), dict(method="eft") if g.role == "ap" else None)

    def round_trip(c, gr):
        g = c.who("treasury", "manager", "controller"); am = math.exp(c.r.gauss(9.5, .5)) * c.G(gr, 3, 1, .4); k = c.G(gr, 3, 3, 4); d = c.d0(c.G(gr, 2, 6, 16))
        st = [c.s.banks[4]] + [c.s.acct("bk") if gr != "subtle" or i else c.r.choice(c.s.vendors).acct for i in range(k - 1)]
        for rep in range(c.G(gr, 3, 2, 1)):
            t = c.t(g, d + rep)
            for i in range(k):
                c.put(g, t, "transfer", st[i], st[(i + 1) % k], am); am *= c.G(gr, 1, c.r.uniform(.985, 1), c.r.uniform(.93, .99)); t += c.G(gr, 900, 9 * H, 2.6 * DAY) * c.r.uniform(.6, 1.2)

    def shell_vendor(c, gr):
        d = c.d0(c.G(gr, 5, 15, 30)); v = c.vend(True, d); gs = c.who("ap", "buyer", "controller", k=c.G(gr, 4, 3, 2)); pr = math.exp(c.r.gauss(7.8, .4)) * c.G(gr, 3, 1.5, .8)
        for i in range(c.N(gr, (8, 15), (6, 10), (4, 6))):
            g = c.r.choice(gs); am = round(pr, -2) if gr == "blatant" else pr * c.r.uniform(.7, 1.2)
            t = c.t(g, d + c.r.randrange(c.G(gr, 5, 15, 30)))
            if g.role == "buyer": c.put(g, t, "procurement", c.s.gl[g.dept], v.acct, am)
            else: c.put(g, t, "payment", c.s.ap_bank, v.acct, am, dict(method="eft", approver=c.r.choice(gs).id))

    def ghost_payee(c, gr):
        g = c.who("payroll"); runs = sorted({int(x["t"] // DAY) for x in c.by["payroll"] if x["t"] >= FREE * DAY and x["benign"] == "pay_run"}) or [c.d0()]
        gh = [c.s.acct("em") for _ in range(c.G(gr, 4, 2, 1))]; sal = [round(math.exp(c.r.gauss(8, .2)) * c.G(gr, 1.7, 1.15, .95), 2) for _ in gh]
        if gr == "blatant":
            d = c.d0(6)
            for a, m in zip(gh, sal):
                for _ in range(c.r.randrange(1, 4)): c.put(g, c.t(g, d + c.r.randrange(5)), "payroll", c.s.paygl[c.r.choice(DEPTS)], a, m)
        else:
            for rd in runs[:c.G(gr, 0, 3, 3)]:
                L = [x for x in c.by["payroll"] if int(x["t"] // DAY) == rd]; x = c.r.choice(L) if L else None
                for a, m in zip(gh, sal):
                    if x: c.put(x["g"], x["t"] + c.r.randrange(0, 3), "payroll", c.s.paygl[c.r.choice(DEPTS)], a, m if len(L) > 40 else m * .2, dict(run_id="R%05d" % (rd + 40), element="net", approver=x["rec"]["metadata"].get("approver")))

    def fan_in_out(c, gr):
        g = c.who("treasury", "controller", "manager"); d = c.d0(c.G(gr, 1, 4, 10)); n = c.N(gr, (8, 13), (5, 8), (4, 5)); hub = c.s.acct("bk"); t = c.t(g, d); am = math.exp(c.r.gauss(7.8, .3)) * c.G(gr, 3, 1.3, .8); inn = c.r.random() < .5
        gap = c.G(gr, 240, 6 * H, 26 * H); tot = 0
        for i in range(n):
            o = c.s.gl[c.r.choice(DEPTS)] if inn else c.s.acct("em" if c.r.random() < .5 else "bk"); x = am * c.r.uniform(.8, 1.2); tot += x
            c.put(g, t, "transfer", o if inn else hub, hub if inn else o, x); t += gap * c.r.uniform(.5, 1.4)
        c.put(g, t if inn else c.buf[0][1] - 3000, "transfer", hub if inn else c.s.banks[3], c.s.acct("bk") if inn else hub, tot * c.r.uniform(.95, 1))

    def account_takeover(c, gr):
        g = c.who("ap", "treasury", "cashier", "refunds", "payroll"); d = c.d0(2); term = "T-%03d" % c.r.randrange(1, 320); to = c.s.acct("bk" if gr != "subtle" else "vn")
        t = d * DAY + c.U(gr, (0.5, 5), (6, 22), (9, 17)) * H
        for i in range(c.N(gr, (8, 16), (5, 8), (2, 4))):
            h = c.r.choice(c.hist(g)); typ = h["transaction_type"] if gr != "blatant" else c.r.choice(["transfer", "payment", h["transaction_type"]])
            src = h["account_id"] if typ == h["transaction_type"] else c.s.banks[3] if typ == "transfer" else c.s.ap_bank
            if src.startswith("pt-") and not to.startswith("bk"): to = c.s.acct("bk")
            c.put(g, t, typ, src, None if typ in ("adjustment", "billing") else to, max(h["amount"], 150) * c.U(gr, (4, 12), (2, 4), (1, 2)), None, term=term, chan="remote"); t += c.r.uniform(30, c.G(gr, 150, 600, 2400))

    def lapping(c, gr):
        g = c.who("ar", "cashier"); n = c.N(gr, (8, 14), (5, 8), (4, 6)); d = c.d0(c.G(gr, 4, n * 2, n * 4)); am = math.exp(c.r.gauss(6, .4)) * c.G(gr, 3, 1.4, .9); p0 = c.pat(); t = c.t(g, d)
        for i in range(n):
            p1 = c.pat(); c.put(g, t, "payment", p0[0], p1[1] if c.r.random() < .8 else p1[2], am, dict(method=c.r.choice(["cash", "cheque", "card"])))
            if gr != "subtle" and c.r.random() < .5: c.put(g, t + 300, "adjustment", p1[0], p0[0] if c.r.random() < .3 else None, am, dict(reason="recode"))
            p0 = p1; am *= c.r.uniform(1, 1.08); t = max(t + 900, c.t(g, d + int((i + 1) * c.G(gr, .3, 2, 4))))

    def slow_skim(c, gr):
        g = c.who("cashier", "ar", "biller", "refunds"); n = c.N(gr, (18, 28), (12, 18), (8, 14)); sp = c.G(gr, 12, 25, 45); d = c.d0(sp); cd = c.s.acct("cd"); am = c.U(gr, (90, 200), (30, 80), (8, 25))
        for i in range(n):
            p = c.pat(); ty = c.r.choice(["refund", "adjustment"]) if gr != "subtle" else "adjustment"
            c.put(g, c.t(g, d + int(i * sp / n)), ty, p[0], cd if ty == "refund" else None, am if gr == "blatant" else am * c.r.uniform(.7, 1.3), dict(reason=c.r.choice(["small_balance", "overpaid"])))

    def self_approved_invoice(c, gr):
        g = c.who("buyer", "manager", "controller", "requester"); sp = c.G(gr, 3, 9, 20); d = c.d0(sp + 3); v = c.vend(c.r.random() < c.G(gr, .9, .6, .3), d)
        for i in range(c.N(gr, (3, 7), (2, 4), (1, 3))):
            am = v.base * c.U(gr, (8, 20), (2, 5), (.8, 1.6)); t = c.t(g, d + c.r.randrange(sp)); m = dict(po_no=c.s.no("PO"), doc_no=c.s.no("IN"), approver=g.id)
            c.put(g, t, "procurement", c.s.gl[g.dept], v.acct, am, m); c.put(g, t + c.r.uniform(300, 2 * H), "payment", c.s.ap_bank, v.acct, am, dict(m, method="eft"))

    def reversal_after_payment(c, gr):
        g = c.who("ar", "refunds", "cashier"); cd = c.s.acct("cd"); L = [x for x in c.by["payment"] if x["rec"]["account_id"].startswith("pt-") and FREE * DAY <= x["t"] < (c.s.days - 8) * DAY]
        if not L: return
        base = sorted(c.r.sample(L, min(60, len(L))), key=lambda x: -x["rec"]["amount"]); base = base[:c.G(gr, 12, 30, 60)]; t0 = c.r.choice(base)["t"]
        L = sorted(base, key=lambda x: abs(x["t"] - t0))
        for x in L[:c.N(gr, (5, 9), (3, 5), (1, 3))]:
            q = x["rec"]; t = max(x["t"] + 900, c.t(g, int(x["t"] // DAY) + c.N(gr, (0, 1), (1, 3), (2, 6))))
            c.put(g, t, "adjustment", q["account_id"], None, q["amount"], dict(reason="write_off", original_ref=q["transaction_id"]))
            c.put(g, t + c.r.uniform(60, 3000), "refund", q["account_id"], cd if gr != "subtle" else c.pat()[1], q["amount"], dict(original_ref=q["transaction_id"], reason="insurer_paid"))

    def phantom_return(c, gr):
        g = c.who("buyer", "cashier", "requester"); sp = c.G(gr, 2, 8, 22); d = c.d0(sp); to = c.s.acct("vn") if gr != "subtle" else c.vend().acct; L = [x["rec"] for x in c.by["procurement"] if x["t"] < d * DAY] or [x["rec"] for x in c.rows0[:50]]
        for i in range(c.N(gr, (7, 14), (4, 7), (2, 4))):
            q = c.r.choice(L); c.put(g, c.t(g, d + c.r.randrange(sp)), "refund", c.s.gl[g.dept], to, min(q["amount"], 20000) * c.U(gr, (1, 2), (.6, 1), (.1, .5)), dict(reason="returned_goods", original_ref=q["transaction_id"]))

    def advance_undelivered(c, gr):
        g = c.who("ap", "controller"); sp = c.G(gr, 4, 14, 28); d = c.d0(sp); v = c.vend(gr != "subtle" or c.r.random() < .4, d); am = math.exp(c.r.gauss(8.3, .4)) * c.G(gr, 6, 1.6, .7); po = c.s.no("PO")
        for i in range(c.N(gr, (4, 8), (3, 5), (1, 3))):
            c.put(g, c.t(g, d + int(i * sp / 6)), "payment", c.s.ap_bank, v.acct, (round(am, -3) or 1000) if gr == "blatant" else am * c.r.uniform(.8, 1.2), dict(method="eft", po_no=po))

    SCHEMES = "amount_spike off_hours_run burst structuring duplicates refund_writeoff_cycle dormant_wake outside_role escalating_payee round_trip shell_vendor ghost_payee fan_in_out account_takeover lapping slow_skim self_approved_invoice reversal_after_payment phantom_return advance_undelivered".split()

    def run(c, target, grades):
        decks = {g: [] for g in grades}; done = 0; fails = 0
        while done < target and fails < 200:
            for gr in c.r.sample(grades, len(grades)):
                if done >= target: break
                if not decks[gr]: decks[gr] = c.r.sample(c.SCHEMES, len(c.SCHEMES))
                name = decks[gr].pop(); c.buf = []
                getattr(c, name)(gr)
                lo, hi = FREE * DAY, min(c.tmax, c.s.days * DAY - 1)
                b = sorted((x for x in c.buf if lo <= x[1] <= hi), key=lambda x: x[1])[:30][:target - done]
                if not b or (len(b) < .6 * len(c.buf) and target - done > 30): fails += 1; decks[gr].insert(0, name) if fails < 60 else None; continue
                c.n += 1
                for g, t, typ, ac, cp, am, m, k in b: c.s.emit(g, t, typ, ac, cp, am, m, fraud=(c.n, name, gr), **k)
                done += len(b)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=1); p.add_argument("--users", type=int, default=100); p.add_argument("--days", type=int, default=90)
    p.add_argument("--rows", type=int, default=60000); p.add_argument("--fraud-share", type=float, default=.008)
    p.add_argument("--grades", default="blatant,medium,subtle"); p.add_argument("--out", required=True)
    a = p.parse_args()
    grades = [g for g in a.grades.split(",") if g]
    nf = int(round(a.rows * a.fraud_share)) if a.days > FREE + 2 else 0
    need = a.rows - nf; lam = 1.0; best = None
    for _ in range(6):
        s = World(a, lam).simulate(); n = len(s.rows)
        if n >= need and (best is None or n < len(best.rows)): best = s
        if need <= n <= need * 1.01: break
        lam = max(.002, lam * max(.2, 1 + 1.1 * (need * 1.004 / max(1, n) - 1)))
    s = best or s
    s.rows.sort(key=lambda x: x["t"]); ex = len(s.rows) - need
    if ex > .02 * need:  # far too many: thin out evenly
        drop = set(s.rng.sample(range(len(s.rows)), ex)); s.rows = [x for i, x in enumerate(s.rows) if i not in drop]
    elif ex > 0: s.rows = s.rows[:need]
    tag(s)
    if nf: Crook(s, s.rows[-1]["t"]).run(nf, grades)
    s.rng.shuffle(s.rows) if False else s.rows.sort(key=lambda x: (x["t"], x["rec"]["transaction_id"] if x["fr"] else ""))
    # same-second ties: order must not depend on the label
    s.rows.sort(key=lambda x: (x["t"], hash_(x["rec"]["user_id"]), x["rec"]["transaction_id"]))
    os.makedirs(os.path.dirname(os.path.abspath(a.out)), exist_ok=True)
    with open(a.out + ".ndjson", "w") as f, open(a.out + ".labels.ndjson", "w") as l:
        for x in s.rows:
            f.write(json.dumps(x["rec"]) + "\n"); fr = x["fr"]
            l.write(json.dumps({"transaction_id": x["rec"]["transaction_id"], "fraud": bool(fr), "incident": fr[0] if fr else None, "scheme": fr[1] if fr else None, "grade": fr[2] if fr else None, "benign": None if fr else x["benign"]}) + "\n")


if __name__ == "__main__":
    main()
