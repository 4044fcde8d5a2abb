//! Transaction types: eight are known, and are known by their exact names. Departments are taken as they are.

use wh_schemas::TransactionType;

use super::cases::{Corpus, Expected};

/// Types that are not known, though a person may take them for one.
const UNKNOWN: &[&str] = &[
    "gift",
    "BILLING",
    "Billing",
    "bILLING",
    " billing",
    "billing ",
    "bill",
    "billings",
    "billing\\u0001",
    "billing\\n",
    "\\tbilling",
    "b\u{456}lling",
    "bi\u{406}ling",
    "ｂｉｌｌｉｎｇ",
    "𝖻𝗂𝗅𝗅𝗂𝗇𝗀",
    "billing\u{200b}",
    "\u{feff}billing",
    "billing\u{301}",
    "billıng",
    "рayment",
    "pаyment",
    "Payment",
    "payments",
    "paymеnt",
    "PAYROLL",
    "pay roll",
    "pay_roll",
    "insurance claim",
    "insurance-claim",
    "InsuranceClaim",
    "insuranceClaim",
    "insurance_Claim",
    "INSURANCE_CLAIM",
    "insurance__claim",
    "insurance_claims",
    "claim",
    "chargeback",
    "unknown",
    "none",
    "0",
    "1",
    "refund,billing",
    "refund|billing",
    "refund;",
    "ŕefund",
    "transf\u{435}r",
];

pub(super) fn add(corpus: &mut Corpus) {
    for kind in UNKNOWN {
        let draft = corpus.good().with("transaction_type", &format!("\"{kind}\""));
        corpus.draft(format!("transaction_type {kind:?}"), &draft, Expected::said("transaction_type", "unknown_type"));
    }
    for kind in TransactionType::ALL {
        // Every letter as an escape: the same text.
        let escaped: String = kind.as_str().chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect();
        let draft = corpus.good().with("transaction_type", &format!("\"{escaped}\""));
        corpus.draft(format!("transaction_type {escaped:?}"), &draft, Expected::said("transaction_type", &format!("ok=\"{kind}\"")));
        let draft = corpus.good().with("transaction_type", &kind.index().to_string());
        corpus.draft(format!("transaction_type by its number, {kind}"), &draft, Expected::said("transaction_type", "wrong_type"));
    }
    for department in ["emergency", "ER", "Surgery ", "Kardiologie Ω", "Depto. de Nefrología", "🏥", "a;b|c,d", "\\\"quoted\\\"", "null", "0"] {
        let draft = corpus.good().with("department", &format!("\"{department}\""));
        corpus.draft(format!("department {department:?}"), &draft, Expected::said("department", &format!("ok=\"{department}\"")));
    }
}
