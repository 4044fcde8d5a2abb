//! From the parsed text of a condition to a typed [`Node`], all faults with their place.
//!
//! The language is a part of CEL: literals, the fields of `tx` and `user`, operators, `in`, `has`, `? :` and a few
//! functions of texts and numbers. There are no lists to walk, so `all`, `exists`, `map` and `filter` are refused, and with
//! them all that could make a rule's cost depend on more than its text; there is no clock and no regular expression.
//!
//! What must stay true: what comes out cannot fail by type; one fault does not hide another beside it.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};

use super::facts::FIELDS;
use super::language::{Comparison, Function, Node, Operation, Type};
use super::nearest::suggestion;

/// Deepest nesting of a condition.
const DEEPEST: usize = 64;

/// What is wrong, and from which byte of the text on.
pub(super) type Misread = (usize, String);

/// The condition that an expression is; `source` knows where its nodes stand.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn condition(expression: &IdedExpr, source: &SourceInfo, metadata_keys: &[String]) -> Result<Node, Vec<Misread>> {
    let mut typing = Typing { source, metadata_keys, faults: Vec::new() };
    let typed = typing.node(expression, 0);
    if let Some((_, given)) = &typed
        && *given != Type::Truth
    {
        typing.fault(expression, format!("gives {}; a condition is true or false", given.shown()));
    }
    match typed {
        Some((node, Type::Truth)) if typing.faults.is_empty() => Ok(node),
        _ => Err(typing.faults),
    }
}

/// The segments of a dotted name, and the node of its first.
fn dotted(expression: &IdedExpr) -> Option<(Vec<&str>, &IdedExpr)> {
    match &expression.expr {
        Expr::Ident(name) => Some((vec![name.as_str()], expression)),
        Expr::Select(SelectExpr { operand, field, test: false }) => {
            let (mut segments, first) = dotted(operand)?;
            segments.push(field);
            Some((segments, first))
        }
        _ => None,
    }
}

/// Whether it is `tx.metadata`.
fn is_metadata(expression: &IdedExpr) -> bool {
    dotted(expression).is_some_and(|(segments, _)| segments == ["tx", "metadata"])
}

struct Typing<'s> {
    source: &'s SourceInfo,
    metadata_keys: &'s [String],
    faults: Vec<Misread>,
}

type Typed = (Node, Type);

impl Typing<'_> {
    fn fault(&mut self, at: &IdedExpr, message: impl Into<String>) {
        let offset = self.source.offset_for(at.id).and_then(|(start, _)| usize::try_from(start).ok()).unwrap_or(0);
        self.faults.push((offset, message.into()));
    }

    /// The node of an expression; none where a fault was told.
    fn node(&mut self, expression: &IdedExpr, depth: usize) -> Option<Typed> {
        if depth > DEEPEST {
            self.fault(expression, format!("is nested deeper than {DEEPEST} levels"));
            return None;
        }
        match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(_) => self.name(expression),
            Expr::Select(select) if select.test => self.presence(expression, select),
            Expr::Select(_) => self.name(expression),
            Expr::Call(call) => self.call(expression, call, depth + 1),
            Expr::List(_) => {
                self.fault(expression, "a list may stand only to the right of `in`");
                None
            }
            Expr::Comprehension(_) => {
                self.fault(expression, "all, exists, map and filter are not available: a rule sees no lists; write `x in [a, b]`, or conditions joined by && and ||");
                None
            }
            Expr::Map(_) | Expr::Struct(_) => {
                self.fault(expression, "maps and messages are not available");
                None
            }
            Expr::Unspecified => {
                self.fault(expression, "is incomplete");
                None
            }
        }
    }

    fn literal(&mut self, expression: &IdedExpr, literal: &LiteralValue) -> Option<Typed> {
        match literal {
            LiteralValue::Boolean(value) => Some((Node::Truth(*value.inner()), Type::Truth)),
            LiteralValue::Int(value) => Some((Node::Int(*value.inner()), Type::Int)),
            LiteralValue::Double(value) => Some((Node::Double(*value.inner()), Type::Double)),
            LiteralValue::String(value) => Some((Node::Text(value.inner().into()), Type::Text)),
            LiteralValue::UInt(_) => {
                self.fault(expression, "unsigned numbers are not available: leave out the u");
                None
            }
            LiteralValue::Bytes(_) | LiteralValue::Null => {
                self.fault(expression, "bytes and null are not available: what is not there is \"\", or asked for with has()");
                None
            }
        }
    }

    /// `tx.amount`, `tx.metadata.ip`
    fn name(&mut self, expression: &IdedExpr) -> Option<Typed> {
        let Some((segments, first)) = dotted(expression) else {
            self.fault(expression, "only tx and user have fields");
            return None;
        };
        if let ["tx", "metadata", key] = segments.as_slice() {
            return self.allowed_key(expression, key).then(|| (Node::Metadata(Box::new(Node::Text((*key).into()))), Type::Text));
        }
        let name = segments.join(".");
        if let Some(field) = FIELDS.iter().find(|field| field.name == name) {
            return Some((Node::Field(field), field.of));
        }
        let known = |record: &str| -> Vec<&'static str> { FIELDS.iter().map(|field| field.name).filter(|name| name.starts_with(record)).collect() };
        let message = match segments.as_slice() {
            ["tx", "metadata"] => "say which key: tx.metadata.ip, or tx.metadata[\"ip\"]".to_owned(),
            ["tx"] => "say which field: tx.amount and the like".to_owned(),
            ["user"] => "say which field: user.events and the like".to_owned(),
            ["tx", ..] => format!("{name}: there is no such field{}", suggestion(&name, &known("tx."))),
            ["user", ..] => format!("{name}: there is no such field{}", suggestion(&name, &known("user."))),
            _ => format!("{name}: there is no such name; a rule sees tx and user, and the time of the event as tx.hour and tx.weekday"),
        };
        self.fault(first, message);
        None
    }

    /// `has(tx.metadata.ip)`
    fn presence(&mut self, expression: &IdedExpr, select: &SelectExpr) -> Option<Typed> {
        if is_metadata(&select.operand) {
            return self.allowed_key(expression, &select.field).then(|| (Node::HasMetadata(Box::new(Node::Text(select.field.as_str().into()))), Type::Truth));
        }
        self.fault(expression, "has() asks for a key of tx.metadata; every other field is always there");
        None
    }

    fn allowed_key(&mut self, at: &IdedExpr, key: &str) -> bool {
        let allowed = self.metadata_keys.iter().any(|known| known == key);
        if !allowed {
            let known: Vec<&str> = self.metadata_keys.iter().map(String::as_str).collect();
            self.fault(at, format!("{key}: metadata_keys does not have it, so that no rule may read it{}", suggestion(key, &known)));
        }
        allowed
    }

    fn call(&mut self, expression: &IdedExpr, call: &CallExpr, depth: usize) -> Option<Typed> {
        match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
            (operators::LOGICAL_NOT, None, [inner]) => {
                let inner = self.expect(inner, Type::Truth, depth)?;
                Some((Node::Not(Box::new(inner)), Type::Truth))
            }
            (operators::NEGATE, None, [inner]) => {
                let (node, of) = self.node(inner, depth)?;
                if !of.is_number() {
                    self.fault(expression, format!("{} has no negative", of.shown()));
                    return None;
                }
                Some((Node::Negative(Box::new(node)), of))
            }
            (operators::LOGICAL_AND, None, [left, right]) => self.both(left, right, depth).map(|sides| (Node::And(sides), Type::Truth)),
            (operators::LOGICAL_OR, None, [left, right]) => self.both(left, right, depth).map(|sides| (Node::Or(sides), Type::Truth)),
            (operators::CONDITIONAL, None, [test, then, otherwise]) => {
                let test = self.expect(test, Type::Truth, depth);
                let (then, otherwise) = (self.node(then, depth), self.node(otherwise, depth));
                let (test, (then, of), (otherwise, other)) = (test?, then?, otherwise?);
                if of != other {
                    self.fault(expression, format!("gives {} or {}: both sides must be of one type", of.shown(), other.shown()));
                    return None;
                }
                Some((Node::Choice(Box::new([test, then, otherwise])), of))
            }
            (operators::IN, None, [one, several]) => self.among(expression, one, several, depth),
            (operators::INDEX, None, [whole, key]) => {
                if !is_metadata(whole) {
                    self.fault(expression, "only tx.metadata is asked by key");
                    return None;
                }
                let node = self.key(key, depth)?;
                Some((Node::Metadata(Box::new(node)), Type::Text))
            }
            (name, None, [left, right]) if operation(name).is_some() || comparison(name).is_some() => {
                let (left, right) = (self.node(left, depth), self.node(right, depth));
                let ((left, of), (right, other)) = (left?, right?);
                match (operation(name), comparison(name)) {
                    (Some(operation), _) => self.calculation(expression, operation, (left, of), (right, other)),
                    (None, Some(comparison)) if of == other || of.is_number() && other.is_number() => Some((Node::Compare(comparison, Box::new([left, right])), Type::Truth)),
                    _ => {
                        self.fault(expression, format!("compares {} with {}", of.shown(), other.shown()));
                        None
                    }
                }
            }
            (name, target, arguments) => self.function(expression, name, target.as_deref(), arguments, depth),
        }
    }

    /// An expression that must be of a type.
    fn expect(&mut self, expression: &IdedExpr, wanted: Type, depth: usize) -> Option<Node> {
        let (node, of) = self.node(expression, depth)?;
        if of != wanted {
            self.fault(expression, format!("is {} where {} is needed", of.shown(), wanted.shown()));
            return None;
        }
        Some(node)
    }

    /// Two conditions; faults of both are told.
    fn both(&mut self, left: &IdedExpr, right: &IdedExpr, depth: usize) -> Option<Box<[Node; 2]>> {
        let (left, right) = (self.expect(left, Type::Truth, depth), self.expect(right, Type::Truth, depth));
        Some(Box::new([left?, right?]))
    }

    /// A key of the metadata: one that is written out must be allowed.
    fn key(&mut self, key: &IdedExpr, depth: usize) -> Option<Node> {
        let node = self.expect(key, Type::Text, depth)?;
        match &node {
            Node::Text(written) => self.allowed_key(key, written).then_some(node),
            _ => Some(node),
        }
    }

    fn among(&mut self, expression: &IdedExpr, one: &IdedExpr, several: &IdedExpr, depth: usize) -> Option<Typed> {
        if is_metadata(several) {
            let key = self.key(one, depth)?;
            return Some((Node::HasMetadata(Box::new(key)), Type::Truth));
        }
        let one = self.node(one, depth);
        let Expr::List(list) = &several.expr else {
            self.fault(expression, "to the right of `in` stands a list such as [\"refund\", \"adjustment\"], or tx.metadata");
            return None;
        };
        let (one, of) = one?;
        let mut others = Vec::with_capacity(list.elements.len());
        let mut whole = true;
        for element in &list.elements {
            match self.node(element, depth) {
                Some((node, other)) if of == other || of.is_number() && other.is_number() => others.push(node),
                Some((_, other)) => {
                    self.fault(element, format!("is {} in a list that is asked for {}", other.shown(), of.shown()));
                    whole = false;
                }
                None => whole = false,
            }
        }
        whole.then(|| (Node::Among(Box::new(one), others.into_boxed_slice()), Type::Truth))
    }

    fn calculation(&mut self, expression: &IdedExpr, operation: Operation, (left, of): Typed, (right, other): Typed) -> Option<Typed> {
        let message = match (of, other) {
            (Type::Double, Type::Double) if operation == Operation::Remainder => "% needs whole numbers: int(x) % int(y)".to_owned(),
            (Type::Int, Type::Int) | (Type::Double, Type::Double) => return Some((Node::Calculate(operation, Box::new([left, right])), of)),
            (Type::Int, Type::Double) | (Type::Double, Type::Int) => {
                let written = [&left, &right].into_iter().find_map(|side| if let Node::Int(value) = side { Some(*value) } else { None });
                match written {
                    Some(value) => format!("an int and a double: write {value}.0 for {value}"),
                    None => "an int and a double: write double(x) around the int".to_owned(),
                }
            }
            (Type::Text, Type::Text) => "texts are not joined by a rule: its evidence may name several, as {tx.type} {tx.department}".to_owned(),
            _ => format!("{} and {} cannot be calculated with", of.shown(), other.shown()),
        };
        self.fault(expression, message);
        None
    }

    fn function(&mut self, expression: &IdedExpr, name: &str, target: Option<&IdedExpr>, arguments: &[IdedExpr], depth: usize) -> Option<Typed> {
        let all: Vec<&IdedExpr> = target.into_iter().chain(arguments).collect();
        let (function, gives) = match (name, target.is_some(), all.len()) {
            ("contains", true, 2) => (Function::Contains, Type::Truth),
            ("startsWith", true, 2) => (Function::StartsWith, Type::Truth),
            ("endsWith", true, 2) => (Function::EndsWith, Type::Truth),
            ("size", _, 1) => (Function::Size, Type::Int),
            ("int", false, 1) => (Function::ToInt, Type::Int),
            ("double", false, 1) => (Function::ToDouble, Type::Double),
            _ => {
                self.fault(
                    expression,
                    format!("{name}: there is no such call; there is x.contains(y), x.startsWith(y), x.endsWith(y), size(x), int(x), double(x) and has(tx.metadata.key)"),
                );
                return None;
            }
        };
        let typed: Vec<Option<Node>> = all
            .into_iter()
            .map(|argument| match function {
                Function::ToInt | Function::ToDouble => {
                    let (node, of) = self.node(argument, depth)?;
                    if of == Type::Truth {
                        self.fault(argument, "a bool is no number");
                        return None;
                    }
                    Some(node)
                }
                _ => self.expect(argument, Type::Text, depth),
            })
            .collect();
        let nodes: Option<Vec<Node>> = typed.into_iter().collect();
        Some((Node::Call(function, nodes?.into_boxed_slice()), gives))
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::Different,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::AtMost,
        operators::GREATER => Comparison::More,
        operators::GREATER_EQUALS => Comparison::AtLeast,
        _ => return None,
    })
}

fn operation(name: &str) -> Option<Operation> {
    Some(match name {
        operators::ADD => Operation::Add,
        operators::SUBSTRACT => Operation::Subtract,
        operators::MULTIPLY => Operation::Multiply,
        operators::DIVIDE => Operation::Divide,
        operators::MODULO => Operation::Remainder,
        _ => return None,
    })
}
