#!/usr/bin/env python3
"""hospital fraud stream v2: synthetic hospital transactions with labelled fraud (stdlib only)."""
import argparse, json, math, random
from datetime import datetime, timedelta, timezone

DAY = 86400.0
DEPTS = ["Emergency", "Cardiology", "Neurology", "Oncology", "Pediatrics", "Surgery", "Radiology",
         "Laboratory", "Pharmacy", "Administration", "IT", "Finance"]
CLIN = ["billing", "billing", "insurance_claim", "insurance_claim", "adjustment", "refund", "procurement"]
MIX = {d: CLIN for d in DEPTS[:8]}
MIX.update(Pharmacy=["procurement", "procurement", "billing", "payment", "adjustment"],
           Administration=["payroll", "procurement", "payment", "adjustment", "transfer"],
           IT=["procurement", "procurement", "payment"],
           Finance=["payment", "payment", "transfer", "transfer", "payroll", "refund", "adjustment"])
MED = dict(billing=(350, .7), payment=(1200, .8), refund=(160, .6), transfer=(4500, .8), adjustment=(90, .6),
           insurance_claim=(1500, .7), payroll=(3200, .3), procurement=(2200, .85))
TYPES = list(MED)
CPP = dict(billing=.18, payment=.95, refund=.75, transfer=1., adjustment=.25, insurance_claim=.5, payroll=.97, procurement=.85)
DESC = dict(billing=["Outpatient visit", "Inpatient stay", "Consultation", "Diagnostics", "Treatment"],
            payment=["Vendor invoice", "Service contract", "Utilities", "Maintenance", "Invoice settlement"],
            refund=["Patient refund", "Overpayment", "Cancelled appointment", "Refund"],
            transfer=["Internal transfer", "Cost allocation", "Fund transfer", "Balancing"],
            adjustment=["Correction", "Write-off", "Coding correction", "Rounding", "Discount"],
            insurance_claim=["Claim", "Claim submission", "Resubmission", "DRG claim"],
            payroll=["Salary", "Overtime", "Bonus", "Shift allowance"],
            procurement=["Supplies", "Equipment", "Consumables", "Order", "Licence"])
SITES = ["Main building", "North wing", "South wing", "Outpatient centre", "Annex"]
SCHEMES = ["amount_spike", "off_hours", "burst", "structuring", "duplicate", "refund_cycle", "write_off", "dormant",
           "outside_scope", "escalating", "round_trip", "shared_vendor", "ghost_payee", "fan_in_out", "weak_signals"]
CLEAN_DAYS = 12
# row: [t, user, account, dept, type, amount, description, counterparty, metadata, label, keep]
T, U, ACC, DEP, TYP, AMT, DSC, CP, MD, LAB, KEEP = range(11)


class User:
    pass


class Gen:
    def __init__(s, a):
        s.a, s.r = a, random.Random(a.seed * 7919 + 17)
        r = s.r
        s.end = a.days * DAY
        s.start = datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(days=r.randrange(600))
        s.style = r.randrange(3)                    # how account ids look
        s.ids = set()
        s.ms = r.random() < .5
        s.nometa = r.random() < .2                  # a fifth of streams: no metadata
        s.pdesc = r.choice([0, .3, .6, .9])
        s.fields = [f for f in ("location", "session_id", "channel", "cost_center", "currency", "terminal") if r.random() < .55]
        s.depts = DEPTS if r.random() < .5 else r.sample(DEPTS[:9], r.choice([7, 8])) + DEPTS[9:]
        s.rows, s.inc, s.nfraud = [], 0, 0
        s.vendors = [s.acct("VEN") for _ in range(240)]
        s.vw = [1 / (i + 3) ** .8 for i in range(240)]
        s.patients = [s.acct("PAT") for _ in range(4000)]
        s.insurers = [s.acct("INS") for _ in range(25)]
        s.emps = [s.acct("EMP") for _ in range(600)]
        s.dacc = {d: [s.acct("ACC") for _ in range(3)] for d in s.depts}
        s.prices = {d: [round(r.lognormvariate(math.log(300), .7)) + r.choice([0, 0, .5, .95]) for _ in range(12)] for d in s.depts}
        s.holidays = {d for d in range(a.days) if r.random() < .03}
        s.cal = [s.start + timedelta(days=d) for d in range(a.days)]
        s.wd = [c.weekday() for c in s.cal]
        s.peak = {d for d in range(a.days) if (s.cal[d] + timedelta(days=2)).month != s.cal[d].month or s.cal[d].day == 1}
        s.users = [s.user(i) for i in range(a.users)]
        s.plan_lives()

    # ---------- entities ----------
    def acct(s, kind):
        while True:
            n = s.r.randrange(10 ** 7, 10 ** 8)
            x = (f"{kind}-{n}", f"ACC{n}", f"DE{n % 89 + 10}5001{n}")[s.style]
            if x not in s.ids:
                s.ids.add(x)
                return x

    def dev(s):
        return f"dev-{s.r.getrandbits(32):08x}"

    def set_role(s, u, dept):
        r = s.r
        u.dept = dept
        ts = list(dict.fromkeys(r.sample(MIX[dept], min(len(MIX[dept]), r.randint(1, 3)))))
        u.types, u.w = ts, [r.uniform(.2, 1) * (1 if i else 2) for i in range(len(ts))]
        for t in ts:
            m, sg = MED[t]
            u.amt[t] = (math.log(m) + r.gauss(0, .35), sg * r.uniform(.6, 1.15))
            u.pool[t] = s.pool(u, t)

    def user(s, i):
        r, u = s.r, User()
        u.id, u.amt, u.pool = f"U{1000 + i * 3 + r.randrange(3)}", {}, {}
        u.own = [s.acct("ACC") for _ in range(r.choice([1, 2, 2, 3, 4]))]
        s.set_role(u, s.depts[i % len(s.depts)] if r.random() < .6 else r.choice(s.depts[-3:] + s.depts))
        u.rate = r.lognormvariate(math.log(6.5), .65)
        u.h0, u.hl = r.choice([6, 7, 7.5, 8, 8, 9]), r.uniform(7.5, 10)
        u.days = {0, 1, 2, 3, 4}
        if u.dept in DEPTS[:8] and r.random() < .35:            # rota staff
            u.days = set(r.sample(range(7), 5))
            u.h0 = r.choice([6, 13, 14, 21.5])
        elif r.random() < .1:
            u.days = set(r.sample(range(5), r.choice([3, 4])))
        u.dv = [s.dev() for _ in range(r.choice([1, 1, 2]))]
        u.net = f"10.{s.depts.index(u.dept) + 10}.{r.randrange(1, 30)}"
        u.ips = [f"{u.net}.{r.randrange(2, 250)}" for _ in range(r.choice([1, 1, 2, 3]))]
        u.site = r.choice(SITES)
        u.tz1 = r.choice([0, 0, 0, .1, .5, 1])
        u.list = r.random() < .4
        u.first, u.last, u.off, u.tag, u.cold, u.move = 0, s.a.days, set(), {}, False, None
        u.devday = r.randrange(s.a.days) if r.random() < .2 else None
        u.mult = {}
        u.dorm = None
        return u

    def pool(s, u, t):
        r = s.r
        if t in ("payment", "procurement"):
            return list(dict.fromkeys(r.choices(s.vendors, s.vw, k=r.randint(6, 25))))
        if t == "transfer":
            return r.sample([a for v in s.dacc.values() for a in v], r.randint(3, 8))
        if t == "insurance_claim":
            return r.sample(s.insurers, r.randint(3, 8))
        if t == "payroll":
            return r.sample(s.emps, r.randint(25, 90))
        return r.sample(s.patients, r.randint(20, 60))

    def plan_lives(s):
        r, a = s.r, s.a
        D, us = a.days, s.users[:]
        r.shuffle(us)
        n = len(us)
        take = lambda f: [us.pop() for _ in range(min(len(us), max(1, int(n * f))))]
        s.reserve = {}
        for g in a.grades:                                       # sleeping users, woken by fraud or by themselves
            s.reserve[g] = []
            for u in take(.016):
                gap = {"blatant": r.randint(22, 28), "medium": r.randint(16, 21), "subtle": r.randint(11, 15)}[g]
                w = min(D - 2, max(CLEAN_DAYS + 1, r.randint(min(gap + 4, D - 3), D - 2)))
                b = w + (r.randint(1, 3) if g != "blatant" else r.randint(2, 8))
                u.off |= set(range(max(2, w - gap), b))
                u.dorm = (w, b)
                for d in range(b, b + 3): u.tag[d] = "holiday_return"
                s.reserve[g].append(u)
        for u in take(.04):
            u.first = r.randint(3, max(4, D - 6))
            for d in range(u.first, u.first + 6): u.tag[d] = "new_hire"
        for u in take(.04):
            u.cold, u.first = True, r.randint(0, max(1, D - 3))
            u.last = u.first + r.randint(1, 4)
            for d in range(u.first, u.last): u.tag[d] = "cold_start"
        for u in take(.03): u.last = r.randint(10, D)             # leavers
        for u in take(.03):
            u.move = (r.randint(8, max(9, D - 5)), r.choice([d for d in s.depts if d != u.dept]))
            for d in range(u.move[0], u.move[0] + 6): u.tag[d] = "department_transfer"
        s.free = us[:]                                            # ordinary people from here on
        for u in us:
            if r.random() < .3:
                d0, k = r.randint(2, D - 2), r.choice([3, 5, 7, 10, 14, 18])
                u.off |= set(range(d0, d0 + k))
                u.tag[d0 + k] = "holiday_return"
            if r.random() < .12:
                d = r.randrange(D)
                u.mult[d], u.tag[d] = r.uniform(2.2, 3.5), "busy_clerk"

    # ---------- rows ----------
    def works(s, u, d):
        return u.first <= d < u.last and d not in u.off and s.wd[d] in u.days

    def when(s, u, d, spread=True):
        r = s.r
        x = r.betavariate(1.4, 1.5)
        h = u.h0 + x * u.hl
        if spread and r.random() < .03: h = u.h0 + r.choice([-r.uniform(0, 1.5), u.hl + r.uniform(0, 2)])
        return max(0., d * DAY + h * 3600 + r.random() * 60)

    def price(s, u, typ, k=None):
        mu, sg = u.amt.get(typ) or (math.log(MED[typ][0]), MED[typ][1])
        if k: return math.exp(mu) * k
        return s.r.lognormvariate(mu, sg)

    def payee(s, u, typ):
        r = s.r
        p = u.pool.get(typ)
        if p is None: p = u.pool[typ] = s.pool(u, typ)
        x = r.random()
        if typ in ("billing", "refund", "adjustment"):
            if typ == "adjustment" and x < .08: return r.choice(u.own)
            return s.acct("PAT") if x < .2 else r.choice(s.patients) if x < .5 else r.choice(p)
        if typ in ("payment", "procurement") and x < .02:
            v = s.acct("VEN"); p.append(v); return v
        if typ == "payroll" and x < .03:
            v = s.acct("EMP"); p.append(v); return v
        if typ == "transfer" and x < .06: return r.choice(r.choice(s.users).own)
        return p[min(int(r.expovariate(2.5 / len(p))), len(p) - 1)]

    def row(s, u, t, typ=None, dept=None, amt=None, acc=None, cp=0, lab=None, dev=None, ip=None, desc=None, keep=False):
        """cp: 0 = by type, None = none, else the account; lab: ('b', name) or ('f', inc, scheme, grade)"""
        r = s.r
        t = min(max(t, 0.), s.end - 1 - r.random() * 600 if t >= s.end else t)
        typ = typ or r.choices(u.types, u.w)[0]
        own = u.own[min(int(r.expovariate(1.1)), len(u.own) - 1)] if r.random() > .015 else r.choice(s.dacc[u.dept])
        if amt is None:
            amt = s.price(u, typ)
            if typ == "billing" and u.list and r.random() < .3 and lab is None:
                amt, lab = r.choice(s.prices[u.dept]), ("b", "list_price")
            elif r.random() < .12: amt = max(5, round(amt / 10) * 10)
        if cp == 0: cp = s.payee(u, typ) if r.random() < CPP[typ] * s.cpk else None
        md = {}
        if not s.nometa:
            d = int(t // DAY)
            if dev is None:
                dev = u.dv[0] if r.random() < .8 else u.dv[-1]
                if u.devday is not None and d >= u.devday: dev = "dev-" + u.id[1:].rjust(4, "0") + dev[-4:]
                elif r.random() < .004: dev = s.dev()
            if ip is None: ip = s.extip() if r.random() < .02 else r.choice(u.ips)
            md = {"ip_address": ip, "device_id": dev}
            for f in s.fields:
                if r.random() < .04: continue
                md[f] = (u.site if r.random() < .95 else r.choice(SITES)) if f == "location" else \
                    f"{int(t // 14400):x}{u.id[1:]}" if f == "session_id" else \
                    r.choice(["web", "web", "desktop", "batch", "api"]) if f == "channel" else \
                    f"CC-{100 + s.depts.index(u.dept)}" if f == "cost_center" else "EUR" if f == "currency" else f"T{int(u.id[1:]) % 97:03d}"
        if desc is None and r.random() < s.pdesc: desc = r.choice(DESC[typ])
        x = [t, u, acc or own, dept or (u.dept if r.random() > .012 else r.choice(s.depts)), typ,
             max(.01, round(float(amt), 2)), desc, cp if cp != (acc or own) else None, md, lab, keep]
        s.rows.append(x)
        return x

    def extip(s):
        r = s.r
        return f"{r.choice([84, 91, 178, 185, 93])}.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(1, 255)}"

    # ---------- ordinary work ----------
    def expect(s, u, d, k):
        m = min(40., max(3., u.rate * k)) * u.mult.get(d, 1)
        if u.cold: m = 2.5
        if d in s.peak and u.dept in ("Finance", "Administration"): m *= 1.8
        if d in s.holidays: m *= .15
        return m

    def pois(s, m):
        if m > 50: return max(0, int(s.r.gauss(m, math.sqrt(m)) + .5))
        L, k, p = math.exp(-m), 0, s.r.random()
        while p > L: k += 1; p *= s.r.random()
        return k

    def ordinary(s, target):
        r = s.r
        ud = [(u, d) for u in s.users for d in range(s.a.days) if s.works(u, d)]
        mean = sum(sum(w * CPP[t] for t, w in zip(u.types, u.w)) / sum(u.w) * u.rate for u in s.users) / sum(u.rate for u in s.users)
        s.cpk = min(1.05, .5 / mean)
        lo, hi = .05, 20.
        for _ in range(30):
            k = math.sqrt(lo * hi)
            if sum(s.expect(u, d, k) for u, d in ud) < target: lo = k
            else: hi = k
        ud.sort(key=lambda x: x[1])
        s.k, s.ud = k, ud
        for u, d in ud:
            if u.move and d >= u.move[0]:
                s.set_role(u, u.move[1]); u.move = None
            n = s.pois(s.expect(u, d, k))
            tag = u.tag.get(d) or ("month_end_peak" if d in s.peak and u.dept in ("Finance", "Administration") else None)
            for _ in range(n): s.row(u, s.when(u, d), lab=("b", tag) if tag else None)

    def pick(s, f=lambda u: True):
        c = [u for u in s.users if not u.cold and u.dorm is None and "department_transfer" not in u.tag.values() and f(u)]
        return s.r.choice(c) if c else s.r.choice(s.users)

    def wday(s, u, lo=0, hi=None):
        c = [d for d in range(lo, min(hi or s.a.days, s.a.days)) if s.works(u, d)]
        return s.r.choice(c) if c else min(max(lo, 0), s.a.days - 1)

    def confusers(s):
        r, D, f = s.r, s.a.days, s.a.rows / 50000
        N = lambda n: max(1, round(n * f))
        clerks = [u for u in s.users if u in s.free and "payroll" in u.types][:6] or [s.pick(lambda u: u.dept == "Finance")]
        s.clerks, s.payruns = clerks, []
        sal = {e: round(r.lognormvariate(math.log(3100), .25), 2) for e in s.emps}
        for d in range(D):                                        # pay runs mid-month and before month end
            if s.cal[d].day in (15, 28):
                for c in r.sample(clerks, min(len(clerks), max(1, N(3)))):
                    t = s.when(c, d, False); s.payruns.append((t, c))
                    for e in r.sample(s.emps, 40):
                        t += r.expovariate(1 / 9); e2 = e if r.random() > .03 else s.acct("EMP")
                        s.row(c, t, "payroll", amt=sal[e], cp=e2, acc=c.own[0], lab=("b", "pay_run"), desc="Salary" if s.pdesc else None)
        for _ in range(N(8)):                                     # stand-ins
            u = s.pick(); v = s.pick(lambda v: v is not u); d0 = s.wday(u)
            for d in range(d0, min(D, d0 + r.randint(2, 5))):
                if s.works(u, d):
                    for _ in range(r.randint(2, 6)):
                        ty = r.choice(v.types)
                        s.row(u, s.when(u, d), ty, v.dept, amt=s.price(v, ty), acc=r.choice(v.own), cp=s.payee(v, ty) if r.random() < CPP[ty] else None, lab=("b", "stand_in"))
        for _ in range(N(14)):                                    # night shifts
            u = s.pick(); d0 = s.wday(u)
            for d in range(d0, min(D, d0 + r.randint(1, 4))):
                for _ in range(r.randint(3, 8)): s.row(u, d * DAY + r.uniform(21.5, 30) * 3600, lab=("b", "night_shift"))
        for _ in range(N(30)):                                    # standing invoices
            u = s.pick(lambda u: "payment" in u.types or "procurement" in u.types); ty = "payment" if "payment" in u.types else "procurement"
            v, am, step, d = s.payee(u, ty), round(s.price(u, ty), 2), r.choice([1, 7, 7, 14, 30]), r.randrange(7)
            while d < D:
                if step > 1 or s.works(u, d): s.row(u, s.when(u, d), ty, amt=am, cp=v, acc=u.own[0], lab=("b", "standing_invoice"))
                d += step
        for _ in range(N(7)):                                     # honest new vendors
            v, d0, ty = s.acct("VEN"), r.randrange(D - 2), r.choice(["payment", "procurement"])
            for u in {s.pick(lambda u: ty in u.types): 0 for _ in range(r.randint(3, 7))}:
                for _ in range(r.randint(1, 3)): s.row(u, s.when(u, s.wday(u, d0, d0 + 8)), ty, cp=v, lab=("b", "new_vendor"))
                u.pool.setdefault(ty, s.pool(u, ty)).append(v)
        for _ in range(N(6)):                                     # bulk corrections
            u = s.pick(lambda u: "adjustment" in u.types); t = s.when(u, s.wday(u), False)
            one = s.price(u, "adjustment") if r.random() < .4 else None
            for _ in range(r.randint(40, 60)): s.row(u, t + r.random() * 3600, "adjustment", amt=one or s.price(u, "adjustment"), lab=("b", "bulk_correction"))
        for _ in range(N(40)):                                    # large purchases
            ty = r.choice(["procurement", "procurement", "payment"]); u = s.pick(lambda u: ty in u.types)
            s.row(u, s.when(u, s.wday(u)), ty, amt=s.price(u, ty, r.uniform(6, 30)), lab=("b", "large_purchase"))
        pays = [x for x in s.rows if x[TYP] in ("payment", "procurement", "billing") and x[CP] and x[LAB] is None]
        for x in r.sample(pays, min(len(pays), N(70))):           # returned payments
            u = x[U] if r.random() < .6 else s.pick(lambda u: "refund" in u.types)
            d = int(x[T] // DAY) + r.randint(1, 7)
            if d < D:
                x[KEEP] = True
                s.row(u, s.when(u, d), "refund", amt=x[AMT], acc=x[ACC], cp=x[CP], dept=x[DEP], lab=("b", "returned_payment"))

    # ---------- fraud ----------
    def fraud(s, budget):
        r, G = s.r, s.a.grades
        s.used, s.budget, k, dry = set(), budget, 0, 0
        s.byu = {}
        for x in s.rows: s.byu.setdefault(x[U].id, []).append(x)
        order = SCHEMES[:]
        r.shuffle(order)
        while s.nfraud < budget and dry < 200:
            i = k % len(order)
            g = G[(i + k // len(order)) % len(G)]
            k += 1
            n0 = len(s.rows)
            s.inc += 1
            s.cur = ("f", s.inc, order[i], g)
            getattr(s, "f_" + order[i])(["blatant", "medium", "subtle"].index(g))
            if len(s.rows) == n0: s.inc -= 1; dry += 1
            s.nfraud += len(s.rows) - n0

    def who(s, f=lambda u: True):
        c = [u for u in s.free if f(u) and len(s.byu.get(u.id, ())) >= 40 and u.last == s.a.days]
        c = c or [u for u in s.free if f(u) and u.id in s.byu]
        c2 = [u for u in c if u.id not in s.used]
        c = c2 or c
        if not c: return None
        u = s.r.choice(c)
        s.used.add(u.id)
        return u

    def n(s, g, *ranges):
        lo, hi = ranges[g]
        return min(s.r.randint(lo, hi), max(lo, s.budget - s.nfraud))

    def fd(s, u, span=1):
        return s.wday(u, min(CLEAN_DAYS, s.a.days - 1), max(CLEAN_DAYS + 1, s.a.days - span + 1))

    def F(s, u, t, *p, **k):
        lo = CLEAN_DAYS * DAY
        if t < lo: t = lo + s.r.uniform(0, 3600)
        if s.r.random() < .2 and "ip" not in k and s.cur[3] == "blatant": k["ip"] = s.extip()
        return s.row(u, t, *p, lab=s.cur, keep=True, **k)

    def days_in(s, u, d0, span, n):
        c = [d for d in range(d0, min(d0 + span, s.a.days)) if s.works(u, d)] or [d0]
        return sorted(s.when(u, s.r.choice(c)) for _ in range(n))

    def paytype(s, u, strict=False):
        return next((t for t in ("payment", "procurement", "transfer") if t in u.types), "payment" if not strict else None)

    def f_amount_spike(s, g):
        u = s.who(); ty = s.r.choice(u.types)
        for t in s.days_in(u, s.fd(u, 6), (1, 3, 7)[g], s.n(g, (1, 3), (2, 4), (4, 7))):
            s.F(u, t, ty, amt=s.price(u, ty, s.r.uniform(*((8, 50), (3, 6), (1.8, 2.5))[g])))

    def f_off_hours(s, g):
        r, u = s.r, s.who(lambda u: 6 <= u.h0 <= 9) or s.pick(); d = s.fd(u, 3)
        for i in range(s.n(g, (8, 15), (5, 8), (3, 5))):
            h = (r.uniform(25, 27.5), r.uniform(22, 24), r.choice([u.h0 - r.uniform(1, 2), u.h0 + u.hl + r.uniform(1.5, 3)]))[g]
            s.F(u, (d + (0, i % 2, i % 3)[g]) * DAY + h * 3600, amt=s.price(u, u.types[0]) * (1.8, 1.3, 1)[g], typ=u.types[0])

    def f_burst(s, g):
        u = s.who(); t, ty = s.when(u, s.fd(u), False), s.r.choice(u.types)
        for _ in range(s.n(g, (15, 60) if s.r.random() < .3 else (15, 25), (8, 8), (5, 5))): s.F(u, t + s.r.random() * 600, ty)

    def f_structuring(s, g):
        r, u = s.r, (s.who(lambda u: s.paytype(u, True)) or s.pick()); ty = s.paytype(u); m = s.price(u, ty, 1)
        th = next((x for x in (1000, 5000, 10000, 50000) if x > m), 50000)
        if g == 0: th = min(50000, th * r.choice([1, 5 if th in (1000, 10000) else 2]))
        one = s.acct("VEN") if r.random() < .5 else s.payee(u, ty)
        for t in s.days_in(u, s.fd(u, 8), (1, 4, 10)[g], s.n(g, (8, 15), (5, 7), (4, 5))):
            s.F(u, t, ty, amt=th * (1 - r.uniform(.01, .08)), cp=one if g < 2 else s.payee(u, ty))

    def f_duplicate(s, g):
        r, D = s.r, s.a.days
        ok = lambda x: x[TYP] in ("insurance_claim", "payment", "procurement") and x[CP] and x[LAB] is None and (CLEAN_DAYS + .5) * DAY < x[T] < (D - 5) * DAY
        u = s.who(lambda u: any(ok(x) for x in s.byu.get(u.id, ())))
        if not u: return
        base = [x for x in s.byu[u.id] if ok(x)]
        for x in r.sample(base, min(len(base), (1, 1, 2)[g])):
            x[KEEP], t = True, x[T]
            for _ in range(s.n(g, (4, 7), (2, 3), (1, 2))):
                t = t + r.uniform(40, 400) if g == 0 else t + r.uniform(1, 6) * 3600 if g == 1 else s.when(u, s.wday(u, int(t // DAY) + 1, int(t // DAY) + 6))
                s.F(u, t, x[TYP], x[DEP], amt=x[AMT], cp=x[CP], acc=x[ACC] if g < 2 or r.random() < .5 else None)

    def f_refund_cycle(s, g):
        r, D = s.r, s.a.days
        ok = lambda x: x[TYP] in ("payment", "billing", "procurement") and x[CP] and x[LAB] is None and 8 * DAY < x[T] < (D - 4) * DAY
        need = s.n(g, (8, 14), (5, 6), (3, 3))
        u = s.who(lambda u: sum(1 for x in s.byu.get(u.id, ()) if ok(x)) > need)
        if not u: return
        base = sorted((x for x in s.byu[u.id] if ok(x)), key=lambda x: x[T])
        i = r.randrange(len(base) - need + 1)
        base = base[i:i + need] if g < 2 else r.sample(base, need)
        for x in base:
            x[KEEP] = True
            lag = (r.uniform(.2, 3) * 3600, r.uniform(2, 20) * 3600, None)[g]
            t = x[T] + lag if lag else s.when(u, s.wday(u, int(x[T] // DAY) + 1, int(x[T] // DAY) + 5))
            if t < CLEAN_DAYS * DAY: t = s.when(u, s.wday(u, CLEAN_DAYS, CLEAN_DAYS + 3))
            s.F(u, t, "refund", x[DEP], amt=x[AMT], acc=x[ACC], cp=x[CP])

    def f_write_off(s, g):
        r = s.r
        u = s.who(lambda u: len(u.own) > 1 and (g == 0 or "adjustment" in u.types)) or s.who(lambda u: len(u.own) > 1)
        to = r.choice(u.own[1:])
        for t in s.days_in(u, s.fd(u, 6), (2, 4, 8)[g], s.n(g, (7, 12), (4, 6), (2, 4))):
            s.F(u, t, "adjustment", amt=s.price(u, "adjustment", r.uniform(*((4, 10), (1.5, 3), (.6, 1.5))[g])), cp=to,
                acc=u.own[0] if r.random() < .5 else r.choice(s.dacc[u.dept]))

    def f_dormant(s, g):
        r, gr = s.r, ("blatant", "medium", "subtle")[g]
        if not s.reserve.get(gr): return
        u = s.reserve[gr].pop()
        w = max(CLEAN_DAYS, u.dorm[0]); t = s.when(u, w, False)
        if g == 0: t = w * DAY + r.uniform(1, 22) * 3600
        for _ in range(s.n(g, (6, 12), (4, 6), (2, 4))):
            ty = r.choice(u.types)
            s.F(u, t, ty, amt=s.price(u, ty, r.uniform(*((3, 12), (1.5, 3), (.8, 1.8))[g])), dev=s.dev() if g == 0 else None)
            t += r.uniform(*((60, 900), (600, 5400), (1800, 9000))[g])

    def f_outside_scope(s, g):
        r, u = s.r, s.who()
        ty = r.choice([t for t in TYPES if t not in u.types]) if g == 0 or (g == 1 and r.random() < .5) else None
        dp = r.choice([d for d in s.depts if d != u.dept]) if g != 1 or ty is None else None
        for t in s.days_in(u, s.fd(u, 5), (1, 3, 6)[g], s.n(g, (6, 10), (4, 5), (2, 3))):
            y = ty or r.choice(u.types)
            s.F(u, t, y, dp, amt=s.price(u, y) * (2, 1.3, 1)[g])

    def f_escalating(s, g):
        r, u = s.r, (s.who(lambda u: s.paytype(u, True)) or s.pick()); ty, v = s.paytype(u), s.acct("VEN")
        am = s.price(u, ty, r.uniform(.4, .9))
        for t in s.days_in(u, s.fd(u, 9), (3, 7, 12)[g], s.n(g, (7, 9), (5, 6), (4, 5))):
            s.F(u, t, ty, amt=am, cp=v)
            am *= r.uniform(*((1.7, 2.), (1.45, 1.7), (1.3, 1.45))[g])

    def f_round_trip(s, g):
        r, u = s.r, s.who(lambda u: "transfer" in u.types) or s.who()
        n = (r.choice([3, 4]), r.choice([3, 4, 5]), r.choice([4, 5]))[g]
        mid = [r.choice(s.pick().own) if r.random() < .6 else s.acct("ACC") for _ in range(n - 1)]
        ring = [u.own[0]] + mid
        if len(set(ring)) < n: ring = [u.own[0]] + [s.acct("ACC") for _ in mid]
        for lap in range((3, 1, 1)[g] if n < 5 else 1):
            am = s.price(u, "transfer", r.uniform(*((4, 10), (1.5, 3), (.7, 1.5))[g]))
            t = s.when(u, max(CLEAN_DAYS, min(s.fd(u, 4), s.a.days - 4)), False)
            gap = ((600, 7200), (3, 14), (8, 16))[g]
            for i in range(n):
                w = u if g == 0 or i == 0 else next((x for x in s.users if ring[i] in x.own), u)
                s.F(w, t, "transfer", amt=am, acc=ring[i], cp=ring[(i + 1) % n])
                am *= 1 - r.uniform(*((0, .005), (.005, .03), (.02, .06))[g])
                t += r.uniform(*gap) * (1 if g == 0 else 3600)

    def f_shared_vendor(s, g):
        r, v = s.r, s.acct("VEN"); ty = r.choice(["payment", "procurement"])
        u0 = s.who(lambda u: ty in u.types) or s.who()
        d0, span = s.fd(u0, (3, 5, 7)[g]), (2, 4, 6)[g]
        team = [u0] + [s.who(lambda u: ty in u.types) or s.who() for _ in range(s.n(g, (5, 7), (3, 4), (2, 3)))]
        for u in team:
            for t in s.days_in(u, d0, span, r.choice([(1, 2), (1, 2), (1, 1)][g])):
                s.F(u, t, ty, amt=s.price(u, ty, r.uniform(*((3, 7), (1.5, 2.5), (.7, 1.5))[g])), cp=v)

    def f_ghost_payee(s, g):
        r, runs = s.r, [x for x in s.payruns if x[0] > CLEAN_DAYS * DAY]
        c = r.choice(s.clerks)
        gh = [s.acct("EMP") for _ in range((r.randint(1, 2), 1, 1)[g])]
        n, am = s.n(g, (6, 10), (3, 4), (2, 3)), s.price(c, "payroll", r.uniform(*((1.6, 2.5), (1.1, 1.5), (.85, 1.15))[g]))
        if g == 2 and runs: ts = [x[0] + r.uniform(20, 300) for x in r.sample(runs, min(n, len(runs)))]
        else: ts = s.days_in(c, s.fd(c, 8), (2, 8, 20)[g], n)
        for t in ts: s.F(next((x[1] for x in runs if g == 2 and 0 <= t - x[0] <= 300), c), t, "payroll", amt=am * (1 if g == 0 else r.uniform(.97, 1.03)), cp=r.choice(gh))

    def f_fan_in_out(s, g):
        r, hub = s.r, s.acct("ACC"); u = s.who()
        d, n = s.fd(u, 3), s.n(g, (12, 20), (8, 11), (6, 7))
        src, tot = {}, 0
        while len(src) < n:
            v = u if g == 0 and r.random() < .3 else s.pick(lambda v: s.works(v, d))
            src[r.choice(v.own) if v is not u and r.random() < .9 else s.acct("ACC")] = v
        ty = r.choice(["transfer", "payment"])
        for a, v in src.items():
            x = s.F(v, s.when(v, d, False) if v.h0 < 12 else d * DAY + r.uniform(9, 18) * 3600, ty, amt=s.price(v, ty, r.uniform(*((1, 3), (.6, 1.8), (.3, 1.2))[g])), acc=a, cp=hub)
            tot += x[AMT]
        k = (r.randint(3, 5), r.randint(2, 3), r.randint(1, 2))[g]
        for _ in range(k): s.F(u, (d + (0, 1, 2)[g]) * DAY + r.uniform(*((19, 22), (9, 16), (9, 16))[g]) * 3600, "transfer", amt=tot * r.uniform(.85, .98) / k, acc=hub, cp=s.acct("ACC"))

    def f_weak_signals(s, g):
        r, u = s.r, (s.who(lambda u: s.paytype(u, True)) or s.pick()); ty, v, dv, ip = s.paytype(u), s.acct("VEN"), s.dev(), s.extip()
        d = s.fd(u, 4)
        for i in range(s.n(g, (5, 7), (3, 4), (1, 2))):
            h = r.choice([u.h0 - r.uniform(*((2, 4), (1, 2), (.4, 1))[g]), u.h0 + u.hl + r.uniform(*((2, 4), (1, 2), (.5, 1.2))[g])])
            s.F(u, (d + (i % 2 if g == 0 else i)) * DAY + h * 3600, ty, amt=s.price(u, ty, r.uniform(*((2, 3.5), (1.3, 2), (.9, 1.5))[g])), cp=v, dev=dv, ip=ip if g < 2 else None)

    # ---------- all ----------
    def build(s):
        r, a = s.r, s.a
        nf = max(0, round(a.rows * a.fraud_share))
        s.ordinary(max(100, a.rows - nf - int(a.rows * .022) - 400))
        s.confusers()
        s.fraud(nf)
        extra = len(s.rows) - a.rows                              # trim or fill with plain work
        if extra > 0:
            idx = [i for i, x in enumerate(s.rows) if x[LAB] is None and not x[KEEP]]
            drop = set(r.sample(idx, min(extra, len(idx))))
            s.rows = [x for i, x in enumerate(s.rows) if i not in drop]
        else:
            w = [(u, d) for u, d in s.ud if d not in u.tag and d not in s.holidays and not u.cold]
            for u, d in r.choices(w, [min(40, max(3, u.rate * s.k)) for u, _ in w], k=-extra): s.row(u, s.when(u, d))
        s.rows.sort(key=lambda x: x[T])

    def write(s, out):
        r, seen = s.r, set()
        tz1 = timezone(timedelta(hours=1))
        with open(out + ".ndjson", "w") as f, open(out + ".labels.ndjson", "w") as g:
            for x in s.rows:
                while True:
                    i = f"TXN-{r.getrandbits(48):012x}"
                    if i not in seen: break
                seen.add(i)
                u = x[U]
                dt = s.start + timedelta(milliseconds=int(x[T] * 1000))
                iso = (lambda z: z.isoformat(timespec="milliseconds" if s.ms else "seconds"))
                ts = iso(dt.astimezone(tz1)) if r.random() < u.tz1 else iso(dt).replace("+00:00", "Z")
                o = dict(transaction_id=i, timestamp=ts, user_id=u.id, account_id=x[ACC], department=x[DEP], transaction_type=x[TYP], amount=x[AMT])
                if x[DSC]: o["description"] = x[DSC]
                if x[CP]: o["counterparty_account"] = x[CP]
                o["metadata"] = x[MD]
                f.write(json.dumps(o) + "\n")
                l = x[LAB]
                fr = bool(l and l[0] == "f")
                g.write(json.dumps(dict(transaction_id=i, fraud=fr, incident=l[1] if fr else None, scheme=l[2] if fr else None,
                                        grade=l[3] if fr else None, benign=l[1] if l and not fr else None)) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rows", type=int, default=50000)
    p.add_argument("--users", type=int, default=220)
    p.add_argument("--days", type=int, default=45)
    p.add_argument("--fraud-share", type=float, default=.007)
    p.add_argument("--grades", default="blatant,medium,subtle")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    a.grades = [g for g in a.grades.split(",") if g]
    if set(a.grades) - {"blatant", "medium", "subtle"}: p.error("unknown grade")
    if a.days < 20 or a.users < 60: p.error("needs --days >= 20 and --users >= 60")
    g = Gen(a)
    g.build()
    g.write(a.out)
    print(f"{a.out}: {len(g.rows)} rows, {len(g.users)} users, {g.nfraud} fraud rows in {g.inc} incidents")


if __name__ == "__main__":
    main()
