#!/usr/bin/env python3
"""Synthetic hospital finance stream with labelled fraud (standard library only)."""
import argparse, json, math, random, datetime as dt
from bisect import bisect_left
from collections import defaultdict, deque, Counter

H = 3600; D = 86400
CLIN = ["Emergency", "Cardiology", "Neurology", "Oncology", "Pediatrics", "Surgery"]
TAR = {  # median tariff, sigma, number of price-list items
    "Emergency": (110, .9, 40), "Cardiology": (240, 1.1, 45), "Neurology": (190, 1.0, 40), "Oncology": (420, 1.2, 45),
    "Pediatrics": (75, .9, 35), "Surgery": (900, 1.2, 55), "Radiology": (160, .8, 40), "Laboratory": (19, .9, 80),
    "Pharmacy": (28, 1.4, 120), "Administration": (25, .8, 12), "Finance": (15, .6, 6), "IT": (15, .5, 4)}
ROLES = {  # role: (departments, share, activity, pattern, type mix)
    "ward_clerk": (CLIN, .17, 1.0, "office", {"billing": .80, "adjustment": .09, "procurement": .05, "payment": .04, "refund": .02}),
    "charge_nurse": (CLIN, .17, .6, "rota", {"billing": .95, "procurement": .05}),
    "tech": (["Radiology", "Laboratory"], .12, 1.6, "rota", {"billing": .97, "adjustment": .03}),
    "pharmacist": (["Pharmacy"], .05, 1.3, "rota", {"billing": .84, "adjustment": .12, "procurement": .04}),
    "dept_buyer": (CLIN + ["Radiology", "Laboratory", "Pharmacy", "IT"], .07, .45, "office", {"procurement": .87, "adjustment": .08, "billing": .05}),
    "cashier": (["Administration", "Emergency", "Administration"], .08, 1.5, "late", {"payment": .87, "refund": .10, "adjustment": .03}),
    "patient_accounts": (["Finance", "Administration"], .07, 1.1, "office", {"adjustment": .45, "payment": .24, "refund": .20, "transfer": .06, "billing": .05}),
    "claims": (["Finance"], .07, 1.5, "office", {"insurance_claim": .86, "adjustment": .14}),
    "ap_clerk": (["Finance"], .05, 1.2, "office", {"payment": .82, "procurement": .09, "adjustment": .05, "transfer": .04}),
    "buyer": (["Administration"], .03, .8, "office", {"procurement": .95, "adjustment": .05}),
    "treasury": (["Finance"], .025, .5, "office", {"transfer": .9, "adjustment": .1}),
    "payroll": (["Finance"], .025, .4, "office", {"payroll": .6, "adjustment": .2, "payment": .2}),
    "controller": (["Finance"], .02, .5, "office", {"adjustment": .65, "transfer": .35}),
    "it_ops": (["IT"], .03, .2, "office", {"procurement": .85, "adjustment": .15}),
    "manager": (CLIN + ["Administration", "Finance", "IT"], .04, .07, "office", {"procurement": .6, "adjustment": .3, "transfer": .1})}
FIN = {"patient_accounts", "claims", "ap_clerk", "treasury", "payroll", "controller"}
DESC = {
    "billing": ["{x}", "{x} x{q}", "Service {x}", "{x} ward {n}"],
    "pay_patient": ["co-payment", "Copay", "invoice settled", "part payment", "instalment", "card payment desk {n}", "cash"],
    "pay_vendor": ["Invoice {i}", "inv. {i}", "payment {i}", "settlement {i} less discount"],
    "remit": ["remittance advice", "insurer settlement"],
    "refund": ["overpayment", "insurer settled in full", "refund deposit", "double payment by patient", "appointment cancelled", "credit balance"],
    "adjustment": ["contractual allowance", "correction of charge", "small balance", "reversal wrong code", "goodwill", "bad debt", "returned goods", "recoding after audit"],
    "transfer": ["liquidity", "reallocation", "funding", "rebooking", "to clearing account", "booked on wrong account"],
    "pool": ["ZBA sweep", "cash pool", "funding"],
    "claim": ["claim submission", "outpatient claim", "inpatient claim DRG", "resubmission", "follow-up claim"],
    "payroll": ["salary", "overtime", "on-call allowance", "correction previous month", "advance", "night supplement"],
    "procurement": ["consumables", "PO {i}", "devices", "repair", "maintenance", "consultancy", "reagents", "spare parts", "office material", "order per framework"]}


class V: pass


class Gen:
    def __init__(s, a):
        s.a = a; s.R = R = random.Random(a.seed * 7919 + 13)
        s.days = a.days; s.S = a.rows / 60000 * 75 / a.days
        s.start = dt.date(2023, 1, 1) + dt.timedelta(days=R.randrange(0, 700))
        s.off = R.choice([0, 0, 1, 2, -5])
        s.used = set(); s.sess = {}; s.rows = []
        s.hol = {d for d in range(s.days) if R.random() < .015}
        s.drift = [R.uniform(0, 6.3), R.uniform(.03, .1)]
        s.world(); s.staff(); s.schedule(); s.run(); s.index()

    # ---------- basics
    def acct(s):
        while 1:
            x = str(s.R.randrange(100000000, 999999999))
            if x not in s.used: s.used.add(x); return x
    def date(s, d): return s.start + dt.timedelta(days=d)
    def wd(s, d): return s.date(d).weekday()
    def mend(s, d):  # signed distance to month end (0 last day, -1 day before, +1 first of month)
        x = s.date(d); nx = (x.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
        k = (nx - x).days - 1
        return -k if k < 15 else x.day
    def ln(s, m, sg): return m * math.exp(s.R.gauss(0, sg))
    def pois(s, m):
        if m > 30: return max(0, int(s.R.gauss(m, math.sqrt(m)) + .5))
        l, k, p = math.exp(-m), 0, s.R.random()
        while p > l: k += 1; p *= s.R.random()
        return k
    def zipf(s, seq, e=1.0):
        n = len(seq)
        if e == 1.0: i = int(n ** s.R.random()) - 1 if n > 1 else 0
        else: i = int(n * s.R.random() ** e)
        return seq[min(n - 1, max(0, i))]
    def nice(s, x):
        R = s.R
        if x < 20: return round(x * 20) / 20 or .5
        if x < 200: return round(x * 2) / 2
        return float(round(x))

    def world(s):
        R = s.R
        s.tar = {}
        for d, (m, sg, n) in TAR.items():
            L = [(f"{R.randrange(1000, 99999)}", s.nice(max(1.5, s.ln(m, sg)))) for _ in range(n)]
            s.tar[d] = L
        s.ins = [(s.acct(), R.uniform(.55, .97)) for _ in range(R.randint(9, 14))]
        s.bank = [s.acct() for _ in range(R.randint(9, 13))]      # internal treasury accounts
        s.gl = {d: [s.acct() for _ in range(3)] for d in TAR}     # cost centres
        s.apacc = [s.acct() for _ in range(2)]; s.salacc = s.acct(); s.clear = [s.acct() for _ in range(4)]
        s.vend = []
        for i in range(max(40, int(s.a.users * .8))): s.newvendor(-999)
        sp = R.sample(s.vend, 8)
        for v, p in zip(sp, (4990, 995, 4990, 995, 9800, 990, 4950, 9990)): v.items = [float(p)]; v.list = True
        s.standing = []
        for v in R.sample(s.vend, max(6, int(16 * min(1, s.S)))):
            s.standing.append((v, round(s.ln(2500, 1.2), R.choice([0, 2])), R.choice([1, 1, 2, 3, 5, 15, 20, 28])))
        s.bankchg = {}
        for v in R.sample(s.vend, max(2, len(s.vend) // 25)): s.bankchg[id(v)] = R.randrange(10, s.days)
        s.pat = {d: [] for d in TAR}; s.recent = deque(maxlen=700); s.pays = deque(maxlen=700)
        s.claimable = []; s.allpat = []; s.due = []; s.lastbill = {d: deque(maxlen=150) for d in TAR}

    def newvendor(s, born):
        R = s.R; v = V(); v.acct = s.acct(); v.born = born; v.list = False
        v.mu = s.ln(700, 1.3); v.sg = R.uniform(.15, 1.0); v.inv = R.randrange(3, 90000); v.step = R.choice([1, 2, 3, 15, 60, 300])
        v.items = [s.nice(s.ln(v.mu * .5, .9)) for _ in range(R.randint(2, 12))] if R.random() < .6 else None
        v.terms = R.choice([3, 7, 10, 14, 14, 21, 30, 30]); v.fmt = R.choice(["{}", "R{:06d}", "24-{:05d}", "F/{}", "{:08d}"]); v.chg = 0; v.n = 0
        s.vend.append(v); return v
    def inv(s, v): v.inv += s.R.randint(1, v.step); return v.fmt.format(v.inv)
    def vamt(s, v):
        R = s.R
        if v.items:
            return round(s.zipf(v.items) * (1 if v.list and R.random() < .8 else min(60, int(R.paretovariate(1.3)))), 2)
        x = s.ln(v.mu, v.sg)
        return max(5., round(x, 0) if R.random() < .2 else round(x, 2))

    def mkpat(s, dept, d):
        R = s.R; p = V(); p.acct = s.acct(); p.bank = None; p.dept = dept; p.d0 = d
        los = {"Emergency": .8, "Laboratory": 1.5, "Radiology": 1, "Administration": 6, "Pharmacy": 4}.get(dept, 4)
        p.d1 = d + int(R.expovariate(1 / los)) if R.random() < .95 else d + R.randint(15, 60)
        p.ins = R.choice(s.ins) if R.random() < .85 else None
        p.open = 0.; p.uncl = 0.; s.allpat.append(p); return p
    def pbank(s, p):
        if not p.bank: p.bank = s.acct()
        return p.bank

    # ---------- staff
    def staff(s):
        R = s.R; n = s.a.users; s.U = []; rl = []
        tot = sum(v[1] for v in ROLES.values())
        for r, v in ROLES.items(): rl += [r] * max(2 if r in FIN else 1, round(n * v[1] / tot))
        R.shuffle(rl)
        need = [r for r in ROLES]
        while len(rl) > n:
            c = Counter(rl); r = c.most_common(1)[0][0]; rl.remove(r)
        while len(rl) < n: rl.append(R.choice(["ward_clerk", "charge_nurse", "tech"]))
        cnt = Counter()
        for r in rl:
            u = V(); v = ROLES[r]; u.role = r; u.id = str(R.randrange(10000, 99999))
            while u.id in s.used: u.id = str(R.randrange(10000, 99999))
            s.used.add(u.id)
            u.dept = v[0][cnt[r] % len(v[0])]; cnt[r] += 1
            u.rate = v[2] * s.ln(1, .55); u.pat = v[3]
            if u.pat == "office" and R.random() < .08: u.pat = "part"
            if u.pat == "rota" and R.random() < .15: u.pat = "night"
            u.h0 = R.choice([6.5, 7, 7, 7.5, 8, 8, 8.5, 9]); u.len = R.choice([7.5, 8, 8, 8.5, 9]); u.ph = R.randrange(28)
            u.free = R.sample(range(5), 2); u.over = R.choice([.01, .03, .05, .12])
            u.mix = {k: w * s.ln(1, .35) for k, w in v[4].items()}
            u.bank = s.acct(); u.ip = f"10.{R.randint(10, 40)}.{R.randint(0, 250)}.{R.randint(2, 250)}"; u.vpn = f"172.20.{R.randint(0, 30)}.{R.randint(2, 250)}"
            u.pd = R.choice([.15, .4, .7, .95]); u.d0 = -999; u.d1 = 999; u.leave = []; u.move = None; u.salary = round(s.ln(2500, .3), 2)
            u.tp = {}; u.sal_from = -999; u.inst = 0
            u.vp = None; s.U.append(u)
        for u in s.U:
            x = R.random(); dm = s.days
            if x < .05: u.d0 = u.sal_from = R.randrange(8, max(9, dm - 5))            # new hire
            elif x < .085: u.d1 = R.randrange(12, max(13, dm // 2))                   # leaver, login not closed
            elif x < .17:                                                            # long leave
                b = R.randrange(5, max(6, dm // 2)); u.leave.append((b, b + R.randint(18, 40)))
            elif x < .45:
                b = R.randrange(0, max(1, dm - 6)); u.leave.append((b, b + R.choice([4, 6, 9, 11, 13])))
            elif x < .50:
                b = R.randrange(15, max(16, dm - 8)); fam = [q for q in ROLES if (q in FIN) == (u.role in FIN) and ROLES[q][3] == ROLES[u.role][3]]
                nr = u.role if R.random() < .65 and len(set(ROLES[u.role][0])) > 1 else R.choice(fam)
                u.move = (b, nr, R.choice(ROLES[nr][0]))
            for _ in range(s.pois(dm / 45)):
                b = R.randrange(dm); u.leave.append((b, b + R.choice([0, 0, 1, 2])))
        if len(s.U) > 30:
            a, b = R.sample(s.U, 2); b.bank = a.bank                                   # married couple, one account
        s.byrole = defaultdict(list)
        for u in s.U: s.byrole[u.role].append(u)
        m = int(min(.6 * n, s.a.rows * .006)); s.payees = [(u.id, u.bank, u.salary, u) for u in s.U][: max(5, int(s.a.rows * .006))]
        for _ in range(m): s.payees.append((str(R.randrange(10000, 99999)), s.acct(), round(s.ln(2400, .35), 2), None))
        s.late = []
        for _ in range(max(1, m // 12)):
            s.late.append((R.randrange(10, s.days), (str(R.randrange(10000, 99999)), s.acct(), round(s.ln(2300, .3), 2), None)))

    def rd(s, u, d):
        if u.move and d >= u.move[0]: return u.move[1], u.move[2]
        return u.role, u.dept
    def away(s, u, d):
        return d < u.d0 or d > u.d1 or any(a <= d <= b for a, b in u.leave)
    def shift(s, u, d):
        """planned shift (start h, length) or None - deterministic per user and day"""
        if s.away(u, d): return None
        w = s.wd(d); r = random.Random(hash((s.a.seed, int(u.id), d)))
        if u.pat == "rota":
            k = (d + u.ph) % 28; p = "EEEEEOOLLLLLOOEEEOONNNNOOOELLO"[k]
            if p == "O": return None
            return {"E": (6.2, 8), "L": (14, 8), "N": (21.8, 8.4)}[p]
        if u.pat == "night": return None if (d + u.ph) % 7 in (4, 5, 6) and r.random() < .85 else (21, 10)
        if u.pat == "late":
            if w == 6 and u.dept != "Emergency": return None
            if (d + u.ph) % 7 in (2, 5): return None
            return (7, 8) if (d // 7 + u.ph) % 2 else (12.5, 8)
        if u.pat == "part" and w in u.free: return None
        m = s.mend(d); fin = u.role in FIN
        if w >= 5 or d in s.hol:
            if r.random() > (u.over * .8 + (.15 if fin and -2 <= m <= 3 else 0)): return None
            return (9 + r.random() * 2, 3 + r.random() * 3)
        l = u.len
        if r.random() < u.over or (fin and -2 <= m <= 3 and r.random() < .35): l += 1 + r.random() * 3
        return (u.h0 + r.gauss(0, .2), l)

    def times(s, u, d, n, sh=None):
        R = s.R; sh = sh or s.shift(u, d); out = []
        while len(out) < n:
            x = R.random()
            if .46 < x < .54 and R.random() < .7: continue
            t = d * D + (sh[0] + x * sh[1]) * H
            for _ in range(min(n - len(out), 1 + int(R.expovariate(.45)))):
                out.append(t); t += R.expovariate(1 / R.choice([15, 60, 240])) + 4
        return [s.clamp(t) for t in out]
    def clamp(s, t):
        if t >= s.days * D: t = s.days * D - 1 - s.R.random() * 7000
        return int(max(0, t))

    # ---------- schedule of honest work
    def schedule(s):
        R = s.R; S = s.S; dm = s.days; s.ev = []; ev = s.ev
        nb = s.a.rows - round(s.a.rows * s.a.fraud_share)
        def on(role, d, k=1):
            c = [u for u in s.byrole[role] if s.shift(u, d) and s.shift(u, d)[0] < 20 and s.rd(u, d)[0] == role]
            return R.choice(c) if c else None
        def add(t, u, kind, **c): ev.append((s.clamp(t), len(ev), u, kind, c))
        def hrs(u, d): return s.times(u, d, 1)[0]
        for d in range(dm):
            w = s.wd(d); dom = s.date(d).day; m = s.mend(d)
            # lab interface batch each night, a fixed technical operator
            tech = sorted(s.byrole["it_ops"], key=lambda q: q.id)[d // 31 % len(s.byrole["it_ops"])]
            t = d * D + 2 * H + R.randint(0, 400); b = f"{R.randrange(10**7)}"
            for i in range(s.pois(24 * S)): add(t if i % 12 else t + i // 12, tech, "billing", dept="Laboratory", lab="batch_import", batch=b)
            if w in (0, 2, 4) and d not in s.hol:     # insurer remittance file
                u = on("claims", d) or on("patient_accounts", d)
                if u:
                    t = hrs(u, d); ii = R.choice(s.ins); b = f"{R.randrange(10**7)}"
                    for i in range(s.pois(48 * S)): add(t, u, "remit", lab="batch_import", ins=ii, batch=b)
            if w in (1, 3) and d not in s.hol:        # vendor pay run
                u = on("ap_clerk", d)
                if u:
                    t = hrs(u, d); b = f"{R.randrange(10**7)}"
                    for i in range(s.pois(38 * S * (1.5 if -3 <= m <= 0 else 1))): add(t + i // 8, u, "pay_vendor", lab="vendor_pay_run", batch=b)
            for v, amt, day in s.standing:
                if day == dom:
                    u = on("ap_clerk", d) or on("ap_clerk", min(dm - 1, d + 1)) or s.byrole["ap_clerk"][0]
                    if not s.away(u, d): add(d * D + 6.1 * H + R.randint(0, 600) if R.random() < .4 else d * D + (u.h0 + R.random() * 7) * H, u, "standing", v=v, amt=amt, lab="standing_invoice")
            if w < 5 and d not in s.hol:              # cash pooling
                u = on("treasury", d)
                if u:
                    subs = R.sample(s.bank[1:], min(len(s.bank) - 1, max(1, int(4 * S + R.random() * 3))))
                    for q in subs:
                        amt = round(s.ln(18000, .9), 2)
                        add(d * D + (u.h0 + R.random()) * H, u, "xfer", a=s.bank[0], b=q, amt=float(round(amt, -3) or 1000), lab="cash_pooling", k="pool")
                        add(d * D + (u.h0 + u.len - .8 + R.random() * .7) * H, u, "xfer", a=q, b=s.bank[0], amt=amt if R.random() < .7 else float(round(amt, -3) or 1000), lab="cash_pooling", k="pool")
                    if R.random() < .12:              # bridge through three own accounts
                        x = R.sample(s.bank[1:], 3); amt = float(R.randint(10, 180) * 500); t = hrs(u, d)
                        for i in range(3): add(t + i * R.randint(100, 9000), u, "xfer", a=x[i], b=x[(i + 1) % 3], amt=amt, lab="cash_pooling", k="pool")
            # pay runs
            last = (m == 0 and w < 5) or (w == 4 and m in (-1, -2))
            if last or dom == 12:
                u = on("payroll", d) or s.byrole["payroll"][0]; u2 = on("payroll", d) or u
                t = d * D + (u.h0 + 1 + 4 * R.random()) * H; b = f"{R.randrange(10**7)}"
                P = [p for p in s.payees if not p[3] or (d >= p[3].sal_from + 3 and d <= p[3].d1 + 20)] + [p for dd, p in s.late if dd <= d]
                if dom == 12: P = R.sample(P, len(P) // 11)
                for i, p in enumerate(P):
                    amt = p[2] if dom != 12 else float(R.randint(2, 16) * 50)
                    if last and p[3] and p[3].pat in ("rota", "night", "late"): amt = round(amt * R.uniform(1, 1.25), 2)
                    if last and R.random() < .03: amt = round(amt * R.uniform(1.3, 2.2), 2)     # bonus, arrears
                    add(t + i // 40, u if i % 3 else u2, "payrow", p=p, amt=amt, lab="pay_run", batch=b)
            # month-end close
            if m in (-1, 0, 1, 2):
                for _ in range(s.pois(14 * S)):
                    u = on("controller", d)
                    if u: add(hrs(u, d), u, "accrual", lab="month_end_close")
            # rarer honest oddities
            if R.random() < .08 * max(1, S) and w < 5:
                u = on(R.choice(["patient_accounts", "claims", "controller"]), d)
                if u:
                    t = hrs(u, d); dp = R.choice(CLIN)
                    for i in range(min(60, s.pois(R.choice([12, 25, 40]) * min(1, S)))): t += R.expovariate(1 / 14); add(t, u, "reversal", dep2=dp, lab="bulk_correction")
            if R.random() < .05 and w < 5:
                u = on("patient_accounts", d)
                if u:
                    t = hrs(u, d)
                    for i in range(s.pois(18 * min(1, S))): t += R.expovariate(1 / 25); add(t, u, "refund", lab="bulk_refund_campaign")
            if R.random() < .04 and w < 5:
                u = on("patient_accounts", d) or on("cashier", d)
                if u:
                    t = hrs(u, d); q = s.acct()
                    for i in range(R.randint(3, 8)): t += R.expovariate(1 / 80); add(t, u, "refund", cp=q, lab="third_party_payer_refund")
            if R.random() < .06 and w < 5:
                u = on("patient_accounts", d) or on("claims", d)
                if u:
                    t = hrs(u, d)
                    for i in range(s.pois(20 * min(1, S))): t += R.expovariate(1 / 9); add(t, u, "small_wo", lab="small_balance_writeoff")
            if R.random() < .22 and w < 5:
                u = on(R.choice(["dept_buyer", "buyer", "it_ops", "manager"]), d)
                if u: add(hrs(u, d), u, "procurement", amt=round(s.ln(22000, .9), R.choice([0, 0, 2, -2])) , lab="large_purchase")
            if R.random() < .5 and w < 5:
                u = on(R.choice(["dept_buyer", "buyer", "ward_clerk"]), d)
                if u:
                    v = R.choice([x for x in s.vend if x.list]); t = hrs(u, d)
                    for i in range(R.choice([1, 1, 2, 3, 4])): add(t + i * R.randint(30, 40000) * (R.random() < .6), u, "procurement", v=v, amt=v.items[0], lab="vendor_list_price")
            if R.random() < .3:
                u = on("ap_clerk", d) or on("treasury", d)
                if u:
                    k = {}; t = hrs(u, d); add(t, u, "pay_vendor", link=k, lab="returned_transfer")
                    t2 = t + R.choice([1, 1, 2, 3]) * D; add(t2, u, "return", link=k, lab="returned_transfer")
                    if R.random() < .7: add(t2 + R.randint(600, 2 * D), u, "repay", link=k, lab="returned_transfer")
            for _ in range(s.pois(7 * S)):
                u = on(R.choice(["tech", "ward_clerk", "pharmacist", "claims", "cashier"]), d)
                if u:
                    k = {}; t = hrs(u, d); kind = {"claims": "claim", "cashier": "pay_patient"}.get(u.role, "billing")
                    add(t, u, kind, link=k, lab="honest_duplicate"); add(t + R.choice([5, 40, 400, 7000]), u, "again", link=k, lab="honest_duplicate")
            if R.random() < .05 and w < 5:            # staged building / project invoices
                u = on("ap_clerk", d)
                if u:
                    v = s.newvendor(d); x = s.ln(3000, .7); tt = hrs(u, d)
                    for i in range(R.randint(3, 6)):
                        if tt < dm * D and not s.away(u, int(tt // D)): add(tt, u, "standing", v=v, amt=round(x, 2), lab="progress_invoices")
                        x *= R.uniform(.8, 1.7); tt += R.choice([5, 7, 7, 10, 14]) * D
            if R.random() < .45: s.newvendor(d)
            if R.random() < .02 and w == 5:           # go-live weekend / stock-taking by office staff
                for u in R.sample([q for q in s.U if q.pat == "office" and not s.away(q, d)] or s.U[:1], 1):
                    t = d * D + R.uniform(9, 21) * H
                    for i in range(R.randint(4, 15)): t += R.expovariate(1 / 200); add(t, u, None, lab="weekend_project")
        if len(ev) > nb * .7:
            R.shuffle(ev); ev[:] = [e for e in ev if "link" not in e[4]][: int(nb * .7)]
        # ordinary work: multinomial over user-days
        slots, wt = [], []
        for u in s.U:
            for d in range(dm):
                sh = s.shift(u, d)
                if not sh: continue
                role, dep = s.rd(u, d); w = s.wd(d)
                x = u.rate * (ROLES[role][2] / ROLES[u.role][2]) * R.gammavariate(3.5, 1 / 3.5) * (1 + s.drift[1] * math.sin(d / 14 + s.drift[0]))
                x *= [1.2, 1.05, 1, 1, .92, .75, .7][w] * min(1.2, sh[1] / 8)
                if d in s.hol: x *= .6
                m = s.mend(d)
                if role in FIN and -2 <= m <= 2: x *= 1.5 + (role == "controller")
                if role == "claims" and w in (0, 1): x *= 1.25
                if u.pat in ("rota", "night") and (sh[0] > 20): x *= .5
                lab = None
                if 0 <= d - u.d0 < 14: x *= .4 + .04 * (d - u.d0); lab = "new_hire"
                elif u.move and 0 <= d - u.move[0] < 14: lab = "dept_transfer"
                elif any(b - a >= 9 and 0 < d - b <= 4 for a, b in u.leave): x *= 1.5; lab = "back_from_leave"
                elif sh[0] > 20: lab = "night_staff"
                elif u.pat in ("office", "part") and (w > 4 or sh[1] > u.len + .5): lab = "overtime"
                slots.append((u, d, role, dep, lab, None)); wt.append(x)
                if u.pat in ("office", "part") and R.random() < u.over * .12: slots.append((u, d, role, dep, "late_remote", (R.choice([4.5, 20, 21, 21.5]), 2))); wt.append(x * R.uniform(.1, .7))
        for u in s.U:
            for a, b in u.leave:
                if b - a >= 4 and R.random() < .6:
                    c = [q for q in s.U if q is not u and q.move is None and (q.dept == u.dept or q.role == u.role) and q.role != "manager"]
                    if not c: continue
                    q = R.choice(c)
                    for d in range(max(0, a), min(dm, b + 1)):
                        if s.shift(q, d) and s.shift(u, d) is None: slots.append((q, d, u.role, u.dept, "stand_in", None)); wt.append(.35 * u.rate)
        cnt = Counter(R.choices(range(len(slots)), wt, k=nb - len(ev)))
        for i in sorted(cnt):
            u, d, role, dep, lab, sh = slots[i]
            for t in s.times(u, d, cnt[i], sh): ev.append((t, len(ev), u, None, {"role": role, "dept": dep, "lab": lab}))
        ev.sort(key=lambda e: (e[0], e[1]))

    # ---------- honest rows
    def meta(s, u, t, **kw):
        R = s.R; k = (u.id, int(t // (6 * H)))
        if k not in s.sess:
            home = R.random() < (.10 if u.pat in ("office", "part") else .02)
            s.sess[k] = (f"{R.getrandbits(48):012x}", u.vpn if home else (u.ip if R.random() < .9 else f"10.{R.randint(10, 40)}.{R.randint(0, 250)}.{R.randint(2, 250)}"), "vpn" if home else R.choice(["desktop", "desktop", "desktop", "thin_client"]))
        x = s.sess[k]; m = {"session_id": x[0], "ip_address": x[1], "channel": x[2]}
        if kw.get("batch_id"): m["channel"] = "batch"
        if R.random() < .04: m.pop("ip_address")
        for a, b in kw.items():
            if b is not None: m[a] = b
        return m
    def desc(s, u, kind, x="", q=1, i=""):
        R = s.R
        if R.random() > u.pd: return None
        return s.zipf(DESC[kind]).format(x=x, q=q, n=R.randint(1, 9), i=i) if kind in DESC else None
    def put(s, u, t, acct, dept, typ, amt, desc, cp, meta, lab=None, fr=None):
        amt = max(.01, round(float(amt), 2))
        if amt >= 10000 and s.R.random() < .8: meta["approved_by"] = s.R.choice(s.byrole["manager"] + s.byrole["controller"]).id
        r = [int(t), u, acct, dept, typ, amt, desc, cp, meta, lab, fr]
        s.rows.append(r); return r

    def patient(s, dept, d):
        L = s.pat.get(dept) or s.pat["Emergency"]
        if s.R.random() < .04 and s.recent: return s.recent[s.R.randrange(len(s.recent))]
        return L[int(len(L) * s.R.random() ** 1.4)] if L else s.mkpat(dept, d)

    def tariff(s, u, dept):
        p = u.tp.get(dept)
        if p is None: p = s.tar[dept][:]; s.R.shuffle(p); p = u.tp[dept] = p[: max(6, int(len(p) * .6))]
        return s.zipf(p) if s.R.random() < .93 else s.R.choice(s.tar[dept])

    def bill(s, u, t, dept, c, p=None):
        R = s.R; d = int(t // D); p = p or s.patient(dept, d); code, pr = s.tariff(u, dept)
        q = 1 if R.random() < .88 else R.randint(2, 6); a = pr * q
        p.open += a; p.uncl += a; s.recent.append(p); s.lastbill[dept].append((p, a, code))
        if p.ins and p.uncl > 0 and R.random() < .35: s.claimable.append(p)
        return s.put(u, t, p.acct, dept, "billing", a, s.desc(u, "billing", code, q), None,
                     s.meta(u, t, tariff_code=code, qty=q if q > 1 else None, batch_id=c.get("batch")), c.get("lab"))

    def vendor(s, u, t):
        R = s.R; d = t // D
        if u.vp is None: u.vp = R.sample(s.vend, min(len(s.vend), R.randint(5, 18))); u.vd = d
        if R.random() < .03:
            c = [v for v in s.vend[-25:] if v.born <= d]; v = R.choice(c or s.vend)
            if v not in u.vp: u.vp.append(v)
            return v
        return s.zipf(u.vp)
    def payv(s, u, t, v, amt, iv, c, dept="Finance"):
        d = t // D; lab = c.get("lab")
        cd = s.bankchg.get(id(v))
        if cd is not None and d >= cd and v.chg < 1: v.acct = s.acct(); v.chg = 1
        if v.chg and v.chg < 5: v.chg += 1; lab = "vendor_bank_change"
        v.n += 1
        if v.born >= 0 and v.n <= 3 and lab in (None, "vendor_pay_run"): lab = "new_vendor"
        return s.put(u, t, s.zipf(s.apacc), dept, "payment", amt, s.desc(u, "pay_vendor", i=iv), v.acct,
                     s.meta(u, t, invoice_no=iv, batch_id=c.get("batch"), payment_method=s.R.choice(["wire", "wire", "ach"])), lab)

    def one(s, t, u, kind, c):
        R = s.R; d = int(t // D); role = c.get("role") or s.rd(u, d)[0]; dept = c.get("dept") or s.rd(u, d)[1]; lab = c.get("lab")
        if kind is None:
            mix = u.mix if role == u.role else ROLES[role][4]
            k = R.choices(list(mix), list(mix.values()))[0]
            kind = {"payment": "pay_vendor" if role in ("ap_clerk",) else "reimb" if role == "payroll" else "pay_patient", "insurance_claim": "claim", "transfer": "xfer_pat" if role == "patient_accounts" else "xfer", "payroll": "paycorr"}.get(k, k)
        if kind == "billing": r = s.bill(u, t, dept, c)
        elif kind == "procurement":
            v = c.get("v") or s.vendor(u, t); amt = c.get("amt") or s.vamt(v); iv = s.inv(v)
            if role == "buyer": dept = R.choice(CLIN + ["Radiology", "Laboratory", "Administration"])
            v.n += 1
            if v.born >= 0 and v.n <= 3 and not lab: lab = "new_vendor"
            if R.random() < .6: s.due.append((d + v.terms, v, amt, iv))
            r = s.put(u, t, s.zipf(s.gl[dept]), dept, "procurement", amt, s.desc(u, "procurement", i=iv), v.acct, s.meta(u, t, po_no=str(45000000 + R.randrange(999999))), lab)
        elif kind == "pay_vendor":
            x = None
            if s.due:
                for _ in range(6):
                    j = int(R.random() * len(s.due))
                    if s.due[j][0] <= d: x = s.due[j]; s.due[j] = s.due[-1]; s.due.pop(); break
            if x: _, v, amt, iv = x
            else: v = s.zipf(s.vend) if R.random() < .9 else s.vendor(u, t); v = v if v.born <= d else s.vend[0]; amt = s.vamt(v); iv = s.inv(v)
            if not x and R.random() < .10 and not c.get("batch"): v = s.newvendor(d); s.vend.pop(); amt = s.vamt(v); iv = s.inv(v); lab = c["lab"] = lab or "one_off_payee"
            if R.random() < .06: amt = round(amt * .98, 2)
            r = s.payv(u, t, v, amt, iv, c); r_v = v
            if "link" in c: c["link"]["r"] = r
        elif kind == "standing": r = s.payv(u, t, c["v"], c["amt"], s.inv(c["v"]), c)
        elif kind in ("return", "repay") :
            o = c["link"].get("r")
            if o is None: return s.bill(u, t, dept, c)
            if kind == "return": r = s.put(u, t, o[7], "Finance", "transfer", o[5], s.desc(u, "transfer"), o[2], s.meta(u, t, invoice_no=o[8].get("invoice_no")), lab)
            else: r = s.put(u, t, o[2], "Finance", "payment", o[5], s.desc(u, "pay_vendor", i=o[8].get("invoice_no")), o[7] if R.random() < .5 else s.acct(), s.meta(u, t, invoice_no=o[8].get("invoice_no"), payment_method="wire"), lab)
        elif kind == "again":
            o = c["link"].get("r")
            if o is None: return s.bill(u, t, dept, c)
            m = dict(o[8]); m.update(s.meta(u, t)); m.pop("approved_by", None)
            r = s.put(u, t, o[2], o[3], o[4], o[5], o[6], o[7], m, lab)
        elif kind in ("pay_patient", "remit"):
            p = s.recent[R.randrange(len(s.recent))] if s.recent else s.mkpat("Emergency", d)
            if kind == "remit":
                ii = c["ins"]; amt = max(4, min(p.open, 4000) * ii[1]) * R.uniform(.6, 1) if p.open > 5 else s.ln(160, .9); cp = ii[0]
            else:
                x = R.random(); amt = R.choice([5, 10, 10, 15, 20, 25, 50]) if x < .5 else (p.open * (1 if x < .75 else R.choice([.1, .2, .25, .5])) if p.open > 3 else s.ln(60, .9)); amt = min(amt, s.ln(900, .8)); cp = None if R.random() < .55 else s.pbank(p)
            p.open = max(0, p.open - amt)
            r = s.put(u, t, p.acct, dept, "payment", amt, s.desc(u, "remit" if kind == "remit" else "pay_patient"), cp, s.meta(u, t, batch_id=c.get("batch"), payment_method=None if kind == "remit" else R.choice(["cash", "card", "card", "wire"])), lab)
            s.pays.append((p, r[5], t))
        elif kind == "refund":
            if s.pays and R.random() < .92: p, amt, t0 = s.pays[R.randrange(len(s.pays))]; lab = lab or "honest_refund"
            else: p = R.choice(s.allpat); amt = s.ln(45, .9)
            if R.random() < .5: amt = amt * R.choice([.5, .8, .2, .9, R.random() * .9 + .05])
            amt = min(amt, s.ln(500, .7))
            r = s.put(u, t, p.acct, dept, "refund", amt, s.desc(u, "refund"), c.get("cp") or s.pbank(p), s.meta(u, t, payment_method=R.choice(["wire", "card", "cash"]), reason_code=f"R{R.randint(1, 7)}"), lab)
        elif kind in ("adjustment", "reversal"):
            x = R.random(); L = s.lastbill.get(c.get("dep2") or (dept if s.lastbill.get(dept) else R.choice(CLIN)))
            code = cpv = None
            if role in ("dept_buyer", "buyer", "manager", "it_ops") and R.random() < .5 and kind == "adjustment":
                v = s.vendor(u, t); r = s.put(u, t, s.zipf(s.gl[dept]), dept, "adjustment", s.vamt(v), s.desc(u, "adjustment"), v.acct, s.meta(u, t, reason_code=f"A{R.randint(1, 14)}"), lab); return r
            if L and (x < .4 or kind == "reversal" or role == "pharmacist"): p, amt, code = L[R.randrange(len(L))]; code = code if R.random() < (.8 if role == "pharmacist" else .25) else None
            elif x < .6: p = s.recent[R.randrange(len(s.recent))]; amt = s.ln(4, .7)
            else: p = s.recent[R.randrange(len(s.recent))]; amt = max(2, p.open) * R.choice([.05, .1, .2, .3, .45]) if p.open > 4 else s.ln(30, .9)
            r = s.put(u, t, p.acct, c.get("dep2") or dept, "adjustment", amt, s.desc(u, "adjustment"), None, s.meta(u, t, tariff_code=code, reason_code=f"A{R.randint(1, 14)}"), lab)
        elif kind == "small_wo":
            p = s.recent[R.randrange(len(s.recent))]
            r = s.put(u, t, p.acct, dept, "adjustment", R.uniform(.05, 6), s.desc(u, "adjustment"), None, s.meta(u, t, reason_code="A3"), lab)
        elif kind == "accrual":
            dp = R.choice(list(s.gl)); amt = s.ln(6000, 1.4); amt = round(amt, -2) if R.random() < .5 else amt
            r = s.put(u, t, R.choice(s.gl[dp]), dp if R.random() < .5 else "Finance", "adjustment", max(10, amt), s.desc(u, "adjustment"), R.choice(s.clear), s.meta(u, t, reason_code="A9"), lab)
        elif kind == "claim":
            p = None
            while s.claimable:
                j = int(R.random() * min(400, len(s.claimable))); p = s.claimable.pop(j)
                if p.uncl > 0: break
                p = None
            if not p:
                p = s.recent[R.randrange(len(s.recent))]
                if not p.ins: p.ins = R.choice(s.ins)
            amt = p.uncl if p.uncl > 0 else s.ln(260, 1.1); p.uncl = 0
            r = s.put(u, t, p.acct, dept, "insurance_claim", amt, s.desc(u, "claim"), p.ins[0], s.meta(u, t, claim_no=str(R.randrange(10**8, 10**9))), lab)
        elif kind == "xfer":
            if "a" in c: a, b, amt = c["a"], c["b"], c["amt"]
            else:
                a, b = R.sample(s.bank + s.clear + s.apacc, 2); amt = s.ln(9000, 1.2) if role == "treasury" else s.ln(1800, 1.2)
                if R.random() < .6: amt = round(amt, -2) + (amt < 50) * 100
            r = s.put(u, t, a, "Finance" if "a" in c else dept, "transfer", amt, s.desc(u, c.get("k") or "transfer"), b, s.meta(u, t), lab)
        elif kind == "xfer_pat":
            p = s.recent[R.randrange(len(s.recent))]; q = s.recent[R.randrange(len(s.recent))]
            if s.pays and R.random() < .6: p, amt, _ = s.pays[R.randrange(len(s.pays))]
            else: amt = s.ln(80, .9)
            r = s.put(u, t, p.acct, dept, "transfer", amt, s.desc(u, "transfer"), q.acct if q is not p else s.clear[0], s.meta(u, t), lab)
        elif kind == "payrow":
            p = c["p"]; r = s.put(u, t, s.salacc, "Finance", "payroll", c["amt"], s.desc(u, "payroll"), p[1], s.meta(u, t, employee_no=p[0], batch_id=c["batch"]), lab)
        elif kind == "paycorr":
            p = R.choice(s.payees); amt = s.ln(180, .8); amt = round(amt, -1) if R.random() < .3 and amt > 10 else amt
            r = s.put(u, t, s.salacc, "Finance", "payroll", amt, s.desc(u, "payroll"), p[1], s.meta(u, t, employee_no=p[0]), lab)
        elif kind == "reimb":
            p = R.choice(s.payees); r = s.put(u, t, s.zipf(s.apacc), "Finance", "payment", s.ln(90, .9), s.desc(u, "pay_vendor", i=str(R.randrange(9999))), p[1], s.meta(u, t, payment_method="wire"), lab)
        else: raise ValueError(kind)
        if "link" in c and "r" not in c["link"]: c["link"]["r"] = r
        return r

    def run(s):
        R = s.R; last = -1; per = {d: (16 if d in CLIN else 14 if d in ("Laboratory", "Radiology") else 6) * min(3, max(.15, s.S)) for d in TAR}
        for d in TAR:
            for _ in range(int(per[d] * 3) + 3): s.pat[d].append(s.mkpat(d, -R.randint(0, 6)))
            for _ in range(20): p = s.mkpat(d, -R.randint(5, 40)); p.d1 = p.d0 + 3; p.open = s.ln(120, .9); s.recent.append(p)
        tmp = list(s.recent); R.shuffle(tmp); s.recent = deque(tmp, maxlen=700)
        for t, _, u, kind, c in s.ev:
            d = t // D
            if d != last:
                for dp in s.pat:
                    L = [p for p in s.pat[dp] if p.d1 >= d]
                    for _ in range(s.pois(per[dp] * (.7 if s.wd(d) > 4 and dp != "Emergency" else 1)) + (not L)): L.append(s.mkpat(dp, d))
                    R.shuffle(L); s.pat[dp] = L
                last = d
            s.one(t, u, kind, c)

    # ---------- fraud
    def index(s):
        s.hist = defaultdict(list); s.typ = defaultdict(list)
        for r in s.rows: s.hist[r[1].id].append(r); s.typ[r[4]].append(r)
        s.busy = Counter()

    def rowsof(s, u, d, typ=None, back=40):
        return [r for r in s.hist[u.id] if (d - back) * D <= r[0] < d * D and (typ is None or r[4] == typ)]
    def ref(s, u, d, typ, lo, hi):
        L = sorted(r[5] for r in s.rowsof(u, d, typ)) if u else []
        if len(L) < 8: L = sorted(r[5] for r in s.R.sample(s.typ[typ], min(200, len(s.typ[typ])))) or [100.]
        return L[min(len(L) - 1, int(s.R.uniform(lo, hi) * len(L)))]
    def pick(s, roles, d, n=1, minrows=8):
        c = [u for r in roles for u in s.byrole[r] if s.rd(u, d)[0] == u.role and not s.away(u, d) and len(s.rowsof(u, d)) >= minrows]
        if len(c) < n: c = [u for r in roles for u in s.byrole[r] if not s.away(u, d)] or s.byrole[roles[0]]
        s.R.shuffle(c); c.sort(key=lambda u: s.busy[u.id]); return c[:n]
    def wt(s, u, d, n=1, span=1, sort=True):
        """n ordinary working times of user u on days d..d+span"""
        ds = [x for x in range(d, min(s.days, d + span)) if s.shift(u, x)]
        if not ds: ds = [x for x in range(d, min(s.days, d + span + 6)) if s.shift(u, x)]
        out = []
        for _ in range(n):
            if ds:
                out.append(s.times(u, s.R.choice(ds), 1)[0])
            else: out.append(s.clamp((min(d, s.days - 1) + (u.h0 + s.R.random() * u.len) / 24) * D))
        return sorted(out)
    def cash(s, g, x):  # how the amount is written
        R = s.R; k = R.random()
        if k < (.5, .35, .15)[g] and x > 60: return float(round(x, -1 if x < 2000 else -2))
        return round(x, 2)
    def oldpat(s, d, n):
        c = [p for p in s.R.sample(s.allpat, min(len(s.allpat), 60 * n + 200)) if p.d0 < d - 3]
        return (c or s.allpat)[:n]
    def seenvend(s, d, rare=False):
        c = [v for v in s.vend if v.born < d - 10]
        return s.R.choice(c[len(c) // 2:] if rare else c)
    def emit(s, u, t, acct, dept, typ, amt, kind, cp=None, **m):
        if typ == "payment": m.setdefault("payment_method", "wire" if kind == "pay_vendor" else s.R.choice(["cash", "card", "card", "wire"]))
        if typ in ("refund",): m.setdefault("payment_method", s.R.choice(["wire", "wire", "card"])); m.setdefault("reason_code", f"R{s.R.randint(1, 7)}")
        if typ == "adjustment": m.setdefault("reason_code", f"A{s.R.randint(1, 14)}")
        if typ == "insurance_claim": m.setdefault("claim_no", str(s.R.randrange(10**8, 10**9)))
        if typ == "procurement": m.setdefault("po_no", str(45000000 + s.R.randrange(999999)))
        s.out.append((u, t, acct, dept, typ, amt, s.desc(u, kind, x=m.get("tariff_code", ""), i=m.get("invoice_no", m.get("po_no", ""))), cp, m))
    def like(s, u, d, t, typs=None, mult=1.):
        """a row that copies the user's own habits"""
        L = [r for r in s.rowsof(u, d) if (typs is None or r[4] in typs) and "batch_id" not in r[8]] or s.rowsof(u, d) or s.rows[:500]
        r = s.R.choice(L); m = {k: v for k, v in r[8].items() if k in ("tariff_code", "qty", "reason_code", "payment_method")}
        if r[4] == "payroll": m["employee_no"] = s.R.choice(s.payees)[0]
        if "invoice_no" in r[8]: m["invoice_no"] = str(s.R.randrange(1000, 99999))
        kind = {"payment": "pay_vendor" if u.role == "ap_clerk" else "pay_patient", "insurance_claim": "claim"}.get(r[4], r[4])
        p = s.R.choice(s.oldpat(d, 6)); a = p.acct if r[4] in ("billing", "insurance_claim", "refund", "adjustment") or u.role == "cashier" else r[2]
        cp = s.pbank(p) if r[4] == "refund" else r[7]
        s.emit(u, t, a, r[3], r[4], r[5] * mult, kind, cp, **m)

    def f_amount_spike(s, g, d, n=None):
        R = s.R; u, = s.pick(["ward_clerk", "tech", "cashier", "patient_accounts", "ap_clerk", "dept_buyer", "claims", "treasury", "pharmacist"], d, minrows=25)
        typ = Counter(r[4] for r in s.rowsof(u, d)).most_common(2); typ = R.choice(typ)[0] if typ else "billing"
        for t in s.wt(u, d, n or R.randint(1, (5, 4, 3)[g]), (2, 5, 10)[g]):
            base = s.ref(u, d, typ, .97, 1) if g == 0 else s.ref(u, d, typ, .93, .99)
            s.like(u, d, t, {typ}); x = list(s.out[-1]); x[5] = s.cash(g, base * R.uniform(*((8, 30), (2.5, 6), (1.2, 2.2))[g])); s.out[-1] = tuple(x)
    def f_off_hours(s, g, d):
        R = s.R; u, = s.pick(["ward_clerk", "patient_accounts", "ap_clerk", "claims", "dept_buyer", "payroll", "buyer"], d, minrows=15)
        n = R.randint(*((8, 16), (4, 9), (2, 5))[g]); t = (d + (R.uniform(1, 3.5), R.uniform(20.8, 22.5), (u.h0 + u.len) % 24 / 24 * 24 + R.uniform(.6, 1.8))[g] / 24) * D
        for _ in range(n): s.like(u, d, s.clamp(t), {"adjustment", "refund", "payment", "procurement", "insurance_claim", "payroll"}, R.uniform(*((1.5, 4), (1.2, 2.5), (1, 1.6))[g])); t += R.expovariate(1 / (150, 300, 500)[g]) + 5
    def f_burst(s, g, d):
        R = s.R; u, = s.pick(["patient_accounts", "cashier", "ap_clerk", "ward_clerk", "claims"], d, minrows=20)
        n = R.randint(*((18, 30), (9, 15), (5, 9))[g]); t = s.wt(u, d)[0]; L = {r[4] for r in s.rowsof(u, d)} & {"refund", "adjustment", "payment", "insurance_claim"}
        ty = {R.choice(sorted(L))} if L else None
        for _ in range(n): s.like(u, d, s.clamp(t), ty, R.uniform(.9, (2.5, 1.8, 1.2)[g])); t += R.expovariate(1 / (9, 35, 110)[g]) + 2
    def f_structuring(s, g, d):
        R = s.R; lim = R.choice([1000, 5000, 5000, 10000, 10000, 50000]); ap = lim > 1000 and R.random() < .5
        u, = s.pick(["ap_clerk"] if ap else ["dept_buyer", "buyer", "ward_clerk"] if lim < 50000 else ["buyer", "treasury", "ap_clerk"], d)
        n = R.randint(*((7, 14), (4, 8), (3, 5))[g]); mg = ((.001, .02), (.005, .06), (.02, .14))[g]
        v = s.newvendor(d) if R.random() < (.7, .5, .2)[g] else s.seenvend(d)
        for t in s.wt(u, d, n, (2, 6, 18)[g]):
            if g == 2 and R.random() < .4: v = s.seenvend(d)
            x = lim * (1 - R.uniform(*mg)); x = R.choice([round(x, 2), round(x), round(x / 5) * 5]); x = min(x, lim - .01)
            if u.role == "treasury": s.emit(u, t, R.choice(s.bank), "Finance", "transfer", x, "transfer", v.acct)
            elif u.role == "ap_clerk": s.emit(u, t, s.apacc[0], "Finance", "payment", x, "pay_vendor", v.acct, invoice_no=s.inv(v))
            else: s.emit(u, t, s.zipf(s.gl[u.dept]), u.dept, "procurement", x, "procurement", v.acct)
    def f_duplicate_claims(s, g, d):
        R = s.R; u, = s.pick(["claims"], d); gap = ((0, 2), (2, 7), (8, 25))[g]
        L = [r for r in s.rowsof(u, d + 1, "insurance_claim", 3 if g == 0 else 12 if g == 1 else 18)]; L.sort(key=lambda r: -r[5]); L = L[: max(10, len(L) // 3)] if g < 2 else L
        L = R.sample(L, min(len(L), R.randint(*((2, 3), (2, 5), (2, 5))[g])))
        for r in L:
            for _ in range(R.randint(2, 5) if g == 0 else 1):
                t = s.wt(u, max(d, r[0] // D + gap[0]) if g else d, 1, 2 if g == 0 else 4)[0]
                s.emit(u, max(t, r[0] + 30), r[2], r[3], r[4], r[5] * (1 if g < 2 and R.random() < .85 else R.uniform(.95, 1.06)), "claim", r[7])
    def f_duplicate_payments(s, g, d):
        R = s.R; u, = s.pick(["ap_clerk"], d); L = s.rowsof(u, d, "payment", (4, 10, 25)[g]); L.sort(key=lambda r: -r[5]); L = L[: max(8, len(L) // (6, 3, 2)[g])]
        for r in R.sample(L, min(len(L), R.randint(*((2, 3), (2, 5), (1, 4))[g]))):
            iv = str(r[8].get("invoice_no", R.randrange(9999)))
            for k in range(R.randint(2, 4) if g == 0 else 1):
                s.emit(u, max(s.wt(u, d, 1, (1, 4, 9)[g])[0], r[0] + 60), r[2], r[3], r[4], r[5] if g < 2 else r[5] * R.choice([1, .98, 1.02, 1]), "pay_vendor", r[7], invoice_no=iv if g == 0 else iv + R.choice(["", "A", "-1"]) if g == 1 else str(R.randrange(1000, 99999)))
    def f_refund_to_own_account(s, g, d):
        R = s.R; u, = s.pick(["cashier", "patient_accounts"], d); n = R.randint(*((5, 12), (3, 7), (2, 5))[g])
        alt = s.acct() if g == 2 else u.bank
        for t, p in zip(s.wt(u, d, n, (3, 12, 25)[g]), s.oldpat(d, n)):
            x = s.ref(u, d, "refund", *((.93, 1), (.75, .97), (.4, .85))[g]) * ((2.2, 1.2, 1)[g])
            s.emit(u, t, p.acct, u.dept, "refund", s.cash(g, x), "refund", alt if g < 2 or R.random() < .7 else s.pbank(p))
    def f_writeoff_cycle(s, g, d):
        R = s.R; u, = s.pick(["patient_accounts"] if g == 2 else ["patient_accounts", "cashier", "ward_clerk"], d); P = s.oldpat(d, (1, 2, 4)[g]); n = R.randint(*((4, 8), (3, 6), (2, 5))[g])
        for t in s.wt(u, d, n, (4, 14, 28)[g]):
            p = R.choice(P); x = s.ref(u, d, "adjustment", *((.97, 1), (.85, .98), (.5, .9))[g]) * (3, 1.4, 1)[g]
            s.emit(u, t, p.acct, u.dept, "adjustment", s.cash(g, x), "adjustment")
            if R.random() < .7: s.emit(u, s.clamp(t + R.choice([60, 900, 5000])), p.acct, u.dept, "refund", s.cash(g, x * R.uniform(.7, 1)), "refund", u.bank if g == 0 else p.bank or s.pbank(p))
    def f_dormant_wakes(s, g, d):
        R = s.R; gap = (24, 18, 12)[g]; c = []
        for u in s.U:
            h = [r[0] // D for r in s.hist[u.id]]
            if u.d0 > 0 or not h: continue
            i = bisect_left(h, d)
            if i >= 3 and d - h[i - 1] >= gap and (i >= len(h) or h[i] > d + 2) and s.busy[u.id] < 2: c.append(u)
        if not c: return
        u = R.choice(c); n = R.randint(*((6, 15), (4, 8), (2, 5))[g]); t = (d + (R.uniform(0, 24) if g == 0 else u.h0 + R.random() * u.len) / 24) * D
        for _ in range(n):
            if u.role in ("charge_nurse", "tech", "ward_clerk", "pharmacist") and g < 2 and R.random() < .6:
                p = s.oldpat(d, 1)[0]; dp = s.rd(u, d)[1]; c, pr = R.choice(sorted(s.tar[dp], key=lambda z: (z[1], z[0]))[-8:]); ty = R.choice(["adjustment", "billing"]); q = R.randint(2, 6) if g == 0 else 1
                s.emit(u, s.clamp(t), p.acct, dp, ty, pr * q, ty, None, tariff_code=c, **({"qty": q} if q > 1 and ty == "billing" else {}))
            else: s.like(u, d, s.clamp(t), None, R.uniform(1, (5, 2.5, 1.3)[g])) if s.rowsof(u, d) else s.emit(u, s.clamp(t), s.oldpat(d, 1)[0].acct, s.rd(u, d)[1], "adjustment", s.ref(None, d, "adjustment", .6, 1), "adjustment")
            t += R.expovariate(1 / (240, 900, 2400)[g])
    def f_outside_role(s, g, d):
        R = s.R; u, = s.pick(["ward_clerk", "charge_nurse", "tech", "pharmacist"] if g == 0 else ["ward_clerk", "claims", "cashier", "dept_buyer", "tech", "patient_accounts"], d, minrows=15)
        have = {r[4] for r in s.rowsof(u, d)}; n = R.randint(*((4, 9), (3, 6), (2, 5))[g])
        if g == 0: ty = R.choice(["transfer", "payroll", "payment"])
        elif g == 1: ty = R.choice([x for x in ("refund", "procurement", "transfer", "insurance_claim", "adjustment") if x not in have] or ["transfer"])
        else: ty = R.choice(sorted(have & {"billing", "adjustment", "payment", "refund", "insurance_claim", "procurement"}) or ["billing"])
        dp = R.choice([x for x in CLIN + ["Radiology", "Pharmacy"] if x != u.dept]) if g == 2 or (g == 1 and R.random() < .4) else "Finance" if ty in ("transfer", "payroll", "payment") else u.dept
        for t, p in zip(s.wt(u, d, n, (2, 5, 12)[g]), s.oldpat(d, n)):
            x = s.ref(None, d, ty, *((.8, 1), (.5, .95), (.4, .9))[g])
            acct = {"transfer": s.clear[0], "payroll": s.salacc, "payment": s.apacc[0], "procurement": s.gl[dp][0]}.get(ty, p.acct); py = R.choice(s.payees)
            cp = {"transfer": s.acct() if g == 0 else R.choice(s.bank), "payroll": py[1], "payment": s.seenvend(d).acct, "procurement": s.seenvend(d).acct, "refund": s.pbank(p), "insurance_claim": R.choice(s.ins)[0]}.get(ty)
            tc = R.choice(s.tar[dp]); x = tc[1] if ty == "billing" else x; m = {"employee_no": py[0]} if ty == "payroll" else {"tariff_code": tc[0]} if ty == "billing" else {}
            s.emit(u, t, acct, dp, ty, x, {"payment": "pay_vendor", "insurance_claim": "claim"}.get(ty, ty), cp, **m)
    def f_escalating_payee(s, g, d):
        R = s.R; u, = s.pick(["ap_clerk", "buyer", "dept_buyer"], d); v = s.newvendor(d); ap = u.role == "ap_clerk"; ty = "payment" if ap else "procurement"
        n = R.randint(*((6, 10), (5, 8), (4, 6))[g]); x = s.ref(u, d, ty, *((.5, .7), (.4, .6), (.25, .5))[g])
        for t in s.wt(u, d, n, (7, 20, 40)[g]):
            s.emit(u, t, s.apacc[0] if ap else s.gl[u.dept][0], "Finance" if ap else u.dept, ty, s.cash(g, x), "pay_vendor" if ap else "procurement", v.acct, **({"invoice_no": s.inv(v)} if ap else {}))
            x *= R.uniform(*((1.6, 2.2), (1.25, 1.6), (1.06, 1.3))[g])
    def f_round_trip(s, g, d):
        R = s.R; us = s.pick(["treasury", "controller", "ap_clerk", "patient_accounts"], d, 1 if R.random() < .5 else 3); k = R.randint(1, 3)
        nodes = [R.choice(s.bank)] + [s.acct() if g == 0 or (g == 1 and R.random() < .5) else R.choice([s.seenvend(d).acct, R.choice(s.clear)]) for _ in range(R.choice([2, 2, 3]))]
        for j in range(k):
            x = s.ref(us[0], d, "transfer", *((.9, 1), (.6, .95), (.3, .8))[g]) * (3 if g == 0 else 1)
            t = s.wt(us[0], min(s.days - 1, d + j * (2, 4, 9)[g]))[0]
            for i in range(len(nodes)):
                u = us[i % len(us)]
                s.emit(u, s.clamp(t), nodes[i], s.rd(u, d)[1] if u.role != "patient_accounts" else "Finance", "transfer", s.cash(g, x), "transfer", nodes[(i + 1) % len(nodes)])
                x *= (1 if g == 0 else R.uniform(.97, 1), R.uniform(.97, 1), R.uniform(.85, 1))[g]
                nt = t + (R.randint(200, 15000), R.uniform(.3, 2) * D, R.uniform(1, 5) * D)[g]; t = nt if g == 0 else s.wt(us[(i + 1) % len(us)], int(min(s.days - 1, nt // D)), 1)[0]
                t = max(t, s.out[-1][1] + 1)
    def f_shell_vendor(s, g, d):
        R = s.R; us = s.pick(["dept_buyer", "buyer", "ap_clerk", "manager", "ward_clerk"], d, R.randint(3, 6)); v = s.newvendor(d); v.step = 1; n = R.randint(*((9, 18), (6, 11), (4, 7))[g])
        base = s.ref(None, d, "procurement", *((.93, .99), (.75, .92), (.5, .8))[g])
        for i in range(n):
            u = us[i % len(us)]; t = s.wt(u, d, 1, (5, 15, 35)[g])[0]; ap = u.role == "ap_clerk"; x = s.cash(g, base * R.uniform(.6, 1.5))
            s.emit(u, t, s.apacc[0] if ap else s.gl[u.dept][0], "Finance" if ap else u.dept, "payment" if ap else "procurement", x, "pay_vendor" if ap else "procurement", v.acct, **({"invoice_no": s.inv(v)} if ap else {}))
    def payday(s, d):
        for x in range(d, s.days):
            if s.mend(x) == 0 and s.wd(x) < 5 or (s.wd(x) == 4 and s.mend(x) in (-1, -2)): return x
        return None
    def f_ghost_employees(s, g, d):
        R = s.R; u, = s.pick(["payroll"], d, minrows=3); n = R.randint(*((4, 9), (2, 5), (1, 3))[g]); a = s.acct()
        pd = s.payday(d); run = [r for r in s.typ["payroll"] if pd is not None and r[0] // D == pd and "batch_id" in r[8]]
        for i in range(n):
            e = str(R.randrange(10000, 99999)); x = R.choice(s.payees)[2]
            if g == 0 or not run: s.emit(u, s.wt(u, d, 1, 2)[0], s.salacc, "Finance", "payroll", float(round(x, -1)), "payroll", a, employee_no=e)
            else:
                r = R.choice(run); s.emit(r[1], r[0], s.salacc, "Finance", "payroll", x, "payroll", a if g == 1 else s.acct() if R.random() < .8 else u.bank, employee_no=e, batch_id=r[8]["batch_id"])
    def f_mule_many_to_one(s, g, d):
        R = s.R; us = s.pick(["patient_accounts", "cashier"], d, (1, 1, 3)[g]); a = s.acct(); n = R.randint(*((10, 22), (6, 11), (4, 7))[g])
        for i, p in enumerate(s.oldpat(d, n)):
            u = us[i % len(us)]; t = s.wt(u, d, 1, (1, 6, 16)[g])[0]; ty = "transfer" if u.role == "patient_accounts" and R.random() < .4 else "refund"
            s.emit(u, t, p.acct, u.dept, ty, s.cash(g, s.ref(u, d, "refund", *((.7, 1), (.5, .95), (.3, .8))[g]) * (1.5, 1, 1)[g]), ty, a)
    def f_mule_one_to_many(s, g, d):
        R = s.R; u, = s.pick(["ap_clerk", "treasury", "patient_accounts"], d); n = R.randint(*((10, 20), (6, 10), (4, 7))[g]); src = R.choice(s.clear + s.bank) if u.role != "patient_accounts" else s.oldpat(d, 1)[0].acct
        ty = "payment" if u.role == "ap_clerk" else "transfer"; tot = s.ref(u, d, ty, .9, 1) * (2, 1.3, .9)[g]; t0 = s.wt(u, d)[0]
        for i in range(n):
            t = t0 + i * R.randint(20, 300) if g == 0 else s.wt(u, d, 1, (1, 4, 14)[g])[0]
            s.emit(u, s.clamp(t), src, s.rd(u, d)[1], ty, s.cash(g, tot / n * R.uniform(.7, 1.3) * (2 if g == 0 else 1)), "pay_vendor" if ty == "payment" else "transfer", s.acct(), **({"invoice_no": str(R.randrange(1000, 99999))} if ty == "payment" else {}))
    # --- own inventions, after real cases
    def f_lapping(s, g, d):
        R = s.R; u, = s.pick(["cashier"], d); n = R.randint(*((7, 14), (5, 9), (3, 6))[g]); P = s.oldpat(d, n + 2); x = s.ref(u, d, "payment", *((.9, 1), (.75, .95), (.5, .85))[g])
        for i, t in enumerate(s.wt(u, d, n, (5, 14, 25)[g])):
            p, q = P[i % len(P)], P[(i + 1) % len(P)]
            if i % 2 == 0 or g == 2 and R.random() < .6: s.emit(u, t, p.acct, u.dept, "payment", x, "pay_patient", None if R.random() < .5 else s.pbank(q), payment_method=R.choice(["cash", "card", "wire"]))
            else: s.emit(u, t, q.acct, u.dept, "transfer" if g < 1 else R.choice(["transfer", "adjustment"]), x, "transfer", p.acct); x *= R.uniform(1, (1.5, 1.25, 1.12)[g])
    def f_vendor_bank_swap(s, g, d):
        R = s.R; u, = s.pick(["ap_clerk"], d); n = R.randint(*((4, 8), (2, 4), (1, 2))[g]); a = s.acct(); v, amt, _ = R.choice(s.standing)
        for t in s.wt(u, d, n, (2, 6, 20)[g]):
            x = amt if g == 2 else max(amt, s.ref(u, d, "payment", *((.97, 1), (.85, .98))[min(g, 1)])) * R.uniform(1, (2.5, 1.3)[min(g, 1)])
            s.emit(u, t, s.apacc[0], "Finance", "payment", x, "pay_vendor", a, invoice_no=s.inv(v))
    def f_unbundling(s, g, d):
        R = s.R; u, = s.pick(["tech", "ward_clerk", "pharmacist"], d, minrows=20); L = sorted(s.tar[u.dept], key=lambda x: (x[1], x[0]))
        for k in range((2, 2, 1)[g]):
            p = s.oldpat(d, 1)[0] if g == 0 else R.choice([q for q in s.allpat[:] if q.dept == u.dept and q.d0 <= d + 2 and q.d1 >= d - 2][-80:] or s.allpat); t = s.wt(u, d, 1, (1, 4, 8)[g])[0]
            for j in range(R.randint(*((9, 15), (5, 8), (3, 6))[g])):
                c, pr = R.choice(L[len(L) // 2:] if g < 2 else L); s.emit(u, s.clamp(t), p.acct, u.dept, "billing", pr, "billing", None, tariff_code=c); t += R.expovariate(1 / (10, 30, 90)[g]) + 2
    def f_period_end_phantom(s, g, d):
        R = s.R; e = [x for x in range(d, s.days) if s.mend(x) == 0] or [x for x in range(19, s.days) if s.mend(x) == 0]
        if not e: return
        e = R.choice(e); d = max(18, e - (1, 2, 3)[g]); u, = s.pick(["dept_buyer", "buyer", "manager"], d); v = s.seenvend(d, True) if g else s.newvendor(d)
        for t in s.wt(u, d, R.randint(*((4, 8), (3, 5), (1, 4))[g]), (2, 3, 4)[g]):
            x = s.cash(g, s.ref(u, d, "procurement", *((.95, 1), (.85, .99), (.6, .9))[g]) * (3, 1.5, 1.1)[g]); s.emit(u, t, s.gl[u.dept][0], u.dept, "procurement", x, "procurement", v.acct)
            if R.random() < .35 and e + 3 < s.days: s.emit(u, s.wt(u, e + 1, 1, 4)[0], s.gl[u.dept][0], u.dept, "adjustment", x, "adjustment", v.acct)
    def f_kickback_rounding(s, g, d):
        R = s.R; u, = s.pick(["buyer", "dept_buyer"], d); L = [r for r in s.rowsof(u, d, "procurement") if r[7]]; b = Counter(r[7] for r in L).most_common(4)
        cp = R.choice(b)[0] if b else s.seenvend(d).acct; x0 = [r[5] for r in L if r[7] == cp] or [s.ref(u, d, "procurement", .5, .9)]; x0.sort(); x0 = x0[len(x0) // 2]
        for t in s.wt(u, d, R.randint(*((7, 14), (5, 9), (4, 7))[g]), (6, 14, 30)[g]):
            x = x0 * R.uniform(*((2.5, 5), (1.4, 2.1), (1.08, 1.3))[g]); st = 500 if x > 4000 else 100 if x > 500 else 10; x = math.ceil(x / st) * st if g < 2 or R.random() < .5 else x
            s.emit(u, t, s.gl[u.dept][0], u.dept, "procurement", x, "procurement", cp)
    def f_drug_diversion_credit(s, g, d):
        R = s.R; u, = s.pick(["pharmacist"], d); L = sorted(s.tar["Pharmacy"], key=lambda x: x[1]); P = s.oldpat(d, 8)
        for t in s.wt(u, d, R.randint(*((8, 16), (5, 9), (3, 6))[g]), (4, 12, 25)[g]):
            c, pr = R.choice(L[-(6, 15, 40)[g]:]); s.emit(u, t, R.choice(P[: (1, 4, 8)[g]]).acct, "Pharmacy", "adjustment", pr * R.choice([1, 1, 2, 3][: 4 - g]), "adjustment", None, tariff_code=c)
    def f_payroll_padding(s, g, d):
        R = s.R; u, = s.pick(["payroll"], d, minrows=3); p = R.choice([q for q in s.payees if q[3]] or s.payees) if g else (u.id, u.bank)
        for t in s.wt(u, d, R.randint(*((5, 9), (3, 6), (2, 5))[g]), (5, 20, 40)[g]):
            s.emit(u, t, s.salacc, "Finance", "payroll", s.cash(g, R.uniform(*((1200, 4000), (350, 900), (90, 320))[g])), "payroll", p[1], employee_no=p[0])
    def f_phantom_services(s, g, d):
        R = s.R; u, = s.pick(["ward_clerk", "tech", "charge_nurse"], d, minrows=20); P = [q for q in s.allpat if q.dept == u.dept and q.d1 < d - (15, 8, 2)[g] and q.d1 > d - 45] or s.allpat; L = sorted(s.tar[u.dept], key=lambda x: x[1])
        P = R.sample(P, min(len(P), (2, 4, 6)[g]))
        for t in s.wt(u, d, R.randint(*((10, 20), (6, 10), (4, 7))[g]), (2, 7, 18)[g]):
            c, pr = R.choice(L[-(4, 12, 40)[g]:]); q = R.randint(2, 5) if g == 0 else 1; s.emit(u, t, R.choice(P).acct, u.dept, "billing", pr * q, "billing", None, tariff_code=c, **({"qty": q} if q > 1 else {}))
    def f_skim_and_void(s, g, d):
        R = s.R; u, = s.pick(["cashier"], d); L = s.rowsof(u, d + (3, 8, 18)[g], "payment", (3, 8, 18)[g]); L = [r for r in L if r[0] >= d * D - D and r[0] >= 18 * D]
        n = R.randint(*((6, 14), (4, 8), (3, 5))[g]); L.sort(key=lambda r: -r[5]); L = L[: max(n, len(L) // (8, 4, 2)[g])]
        for r in R.sample(L, min(n, len(L))): s.emit(u, s.clamp(r[0] + R.choice([40, 90, 300, 1500])), r[2], r[3], "adjustment", r[5] * (1 if g < 2 else R.choice([1, .5, .9])), "adjustment")
    def f_credit_balance_theft(s, g, d):
        R = s.R; u, = s.pick(["patient_accounts", "claims", "controller"], d); n = R.randint(*((8, 16), (5, 9), (3, 6))[g]); A = [s.acct() for _ in range((1, 2, 3)[g])]
        P = [p for p in s.allpat if p.d1 < d - 20] or s.allpat; ty = "refund" if u.role == "patient_accounts" and g else "transfer"
        for t in s.wt(u, d, n, (3, 10, 25)[g]): s.emit(u, t, R.choice(P).acct, u.dept, ty, s.ref(None, d, "refund", *((.85, 1), (.6, .95), (.3, .8))[g]) * (3, 1.2, 1)[g], ty, R.choice(A))
    def f_salami(s, g, d):
        R = s.R; u, = s.pick(["patient_accounts", "ap_clerk", "controller"], d); n = R.randint(*((20, 30), (10, 16), (5, 10))[g]); a = s.acct(); t = s.wt(u, d)[0]
        for p in s.oldpat(d, n):
            s.emit(u, s.clamp(t), p.acct, u.dept, "transfer", R.uniform(.3, (4.9, 4.9, 9)[g]), "transfer", a)
            t = t + R.expovariate(1 / 20) + 2 if g == 0 else s.wt(u, d, 1, (1, 3, 20)[g])[0]
    def f_insider_claim_inflation(s, g, d):
        R = s.R; u, = s.pick(["claims"], d); ii = R.choice(s.ins)
        for t, p in zip(s.wt(u, d, R.randint(*((6, 14), (4, 8), (3, 6))[g]), (2, 8, 20)[g]), s.oldpat(d, 16)):
            s.emit(u, t, p.acct, u.dept, "insurance_claim", s.ref(u, d, "insurance_claim", *((.96, 1), (.85, .97), (.6, .9))[g]) * R.uniform(*((2.5, 6), (1.3, 2), (1.05, 1.3))[g]), "claim", ii[0] if g else (p.ins or ii)[0])

    def fraud(s):
        R = s.R; goal = round(s.a.rows * s.a.fraud_share); G = [("blatant", "medium", "subtle").index(x) for x in s.a.grades.split(",") if x]
        F = [n[2:] for n in dir(s) if n.startswith("f_")]; got = 0; inc = 0; cs = Counter(); cg = Counter(); rg = Counter(); ig = Counter(); lo = min(18, s.days - 2)
        fail = retry = 0
        while got < goal:
            rem = goal - got
            g = min(G, key=lambda x: (ig[x], rg[x], R.random()))
            n = min(F, key=lambda f: (cs[f] + 1.0 * cg[f, g], R.random())); s.out = []
            d = R.randrange(lo, max(lo + 1, s.days - (4, 8, 14)[g])) if n != "period_end_phantom" else R.randrange(lo, s.days)
            if rem <= 4: n = "amount_spike"; s.f_amount_spike(g, d, rem)
            else: getattr(s, "f_" + n)(g, d)
            o = sorted([x for x in s.out if x[1] >= lo * D + 6 * H and x[1] < s.days * D], key=lambda x: x[1])[:30]
            if not o or len({x[1] for x in o}) < len(o) / 3 and n not in ("ghost_employees", ): fail += 1; cs[n] += .34; o = []
            if fail > 2000: break
            if o and len(o) > rem and retry < 80: retry += 1; o = []
            if not o: continue
            o = o[:rem]; inc += 1; cs[n] += 1; cg[n, g] += 1; rg[g] += len(o); ig[g] += 1; got += len(o)
            for u in {x[0] for x in o}: s.busy[u.id] += 1
            for u, t, a, dp, ty, x, de, cp, m in o:
                s.put(u, t, a, dp, ty, x, de, cp, s.meta(u, t, **m), None, (inc, n, ("blatant", "medium", "subtle")[g]))

    def write(s):
        R = s.R; s.fraud(); base = dt.datetime(s.start.year, s.start.month, s.start.day) - dt.timedelta(hours=s.off)
        R.shuffle(s.rows); order = sorted(range(len(s.rows)), key=lambda i: s.rows[i][0])
        with open(s.a.out + ".ndjson", "w") as f, open(s.a.out + ".labels.ndjson", "w") as h:
            for i in order:
                t, u, a, dp, ty, x, de, cp, m, lab, fr = s.rows[i]; k = f"{R.getrandbits(128):032x}"; k = f"{k[:8]}-{k[8:12]}-4{k[13:16]}-a{k[17:20]}-{k[20:]}"
                o = {"transaction_id": k, "timestamp": (base + dt.timedelta(seconds=t)).strftime("%Y-%m-%dT%H:%M:%SZ"), "user_id": u.id, "account_id": a, "department": dp, "transaction_type": ty, "amount": x}
                if de: o["description"] = de
                if cp: o["counterparty_account"] = cp
                o["metadata"] = dict(sorted(m.items()))
                f.write(json.dumps(o) + "\n")
                h.write(json.dumps({"transaction_id": k, "fraud": bool(fr), "incident": fr[0] if fr else None, "scheme": fr[1] if fr else None, "grade": fr[2] if fr else None, "benign": lab}) + "\n")


if __name__ == "__main__":
    P = argparse.ArgumentParser()
    P.add_argument("--seed", type=int, default=1); P.add_argument("--users", type=int, default=150); P.add_argument("--days", type=int, default=75)
    P.add_argument("--rows", type=int, default=60000); P.add_argument("--fraud-share", type=float, default=.008)
    P.add_argument("--grades", default="blatant,medium,subtle"); P.add_argument("--out", required=True)
    Gen(P.parse_args()).write()
