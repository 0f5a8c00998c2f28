//! Evaluation: Java's comparisons over values of six kinds. Properties are always texts.

use std::cmp::Ordering;

use crate::error::EvalError;
use crate::expr::{Literal, Look, Node, Order};
use crate::number;

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'a [u8]),
}

impl<'a> From<&'a Literal> for Value<'a> {
    fn from(literal: &'a Literal) -> Self {
        match literal {
            Literal::Int(n) => Value::Int(*n),
            Literal::Long(n) => Value::Long(*n),
            Literal::Double(n) => Value::Double(*n),
            Literal::Text(text) => Value::Text(text.as_bytes()),
            Literal::Bool(b) => Value::Bool(*b),
            Literal::Null => Value::Null,
        }
    }
}

/// How two literals compare, or why they do not, with the text that is no number.
pub fn literals<'a>(left: &'a Literal, right: &'a Literal) -> Result<Ordering, (EvalError, &'a str)> {
    let text = |literal: &'a Literal| match literal {
        Literal::Text(text) => Some(&**text),
        _ => None,
    };
    compare(left.into(), right.into()).map_err(|e| (e, text(left).or(text(right)).unwrap_or_default()))
}

/// The values of the properties, by their place.
type Slots<'a> = [Option<&'a [u8]>];
type Truth = Result<Option<bool>, EvalError>;

fn property<'a>(slots: &Slots<'a>, at: usize) -> Option<&'a [u8]> {
    slots.get(at).copied().flatten()
}

fn value<'a>(node: &'a Node, slots: &Slots<'a>) -> Result<Value<'a>, EvalError> {
    Ok(match node {
        Node::Property(at) => property(slots, *at).map_or(Value::Null, Value::Text),
        Node::Literal(literal) => literal.into(),
        Node::Negate(node) => match value(node, slots)? {
            Value::Int(n) => Value::Int(n.wrapping_neg()),
            Value::Long(n) => Value::Long(n.wrapping_neg()),
            Value::Double(n) => Value::Double(-n),
            // Also of a text that looks like a number.
            Value::Null | Value::Bool(_) | Value::Text(_) => Value::Null,
        },
        _ => truth(node, slots)?.map_or(Value::Null, Value::Bool),
    })
}

/// What an expression says that is true, false or NULL.
pub fn truth(node: &Node, slots: &Slots<'_>) -> Truth {
    match node {
        Node::Literal(_) | Node::Property(_) | Node::Negate(_) => match value(node, slots)? {
            Value::Bool(b) => Ok(Some(b)),
            _ => Ok(None),
        },
        Node::Cast(at) => Ok(property(slots, *at).map(|_| false)),
        Node::Not(node) => Ok(truth(node, slots)?.map(|b| !b)),
        Node::And(nodes) => chain(nodes, slots, false),
        Node::Or(nodes) => chain(nodes, slots, true),
        Node::Equal(pair) => equal(value(&pair.0, slots)?, || value(&pair.1, slots)),
        Node::Order(order, pair) => ordered(*order, value(&pair.0, slots)?, &pair.1, slots),
        Node::Between(three) => between(three, slots, (Order::GreaterEqual, Order::LessEqual), false),
        Node::NotBetween(three) => between(three, slots, (Order::Less, Order::Greater), true),
        Node::Text { look, not, of, search } => {
            // An empty text is found nowhere, and not missed either; neither is one in what is no text.
            if search.is_empty() {
                return Ok(Some(false));
            }
            let Value::Text(text) = value(of, slots)? else { return Ok(Some(false)) };
            Ok(Some(is_found(*look, text, search.as_bytes()) != *not))
        }
        Node::In { not, property: at, values } => Ok(property(slots, *at)
            .map(|text| values.binary_search_by(|v| v.as_bytes().cmp(text)).is_ok() != *not)),
    }
}

/// AND or OR: `ends` is the value that decides; the rest is then not looked at.
fn chain(nodes: &[Node], slots: &Slots<'_>, ends: bool) -> Truth {
    let mut all = Some(!ends);
    for node in nodes {
        match truth(node, slots)? {
            Some(b) if b == ends => return Ok(Some(ends)),
            Some(_) => {}
            None => all = None,
        }
    }
    Ok(all)
}

/// AND or OR of two comparisons with the same left side. `ends` as for [`chain`].
fn between(three: &[Node; 3], slots: &Slots<'_>, (first, second): (Order, Order), ends: bool) -> Truth {
    let left = value(&three[0], slots)?;
    let low = ordered(first, left, &three[1], slots)?;
    if low == Some(ends) {
        return Ok(Some(ends));
    }
    match ordered(second, left, &three[2], slots)? {
        Some(b) if b == ends => Ok(Some(ends)),
        Some(_) => Ok(low.map(|_| !ends)),
        None => Ok(None),
    }
}

/// `=`: nothing equals nothing; a value is not nothing; nothing is not known to be a value. Not symmetric.
fn equal<'a>(left: Value<'a>, right: impl FnOnce() -> Result<Value<'a>, EvalError>) -> Truth {
    match (left, right()?) {
        (Value::Null, Value::Null) => Ok(Some(true)),
        (Value::Null, _) => Ok(None),
        (_, Value::Null) => Ok(Some(false)),
        (left, right) => Ok(Some(compare(left, right)?.is_eq())),
    }
}

fn ordered(order: Order, left: Value<'_>, right: &Node, slots: &Slots<'_>) -> Truth {
    if matches!(left, Value::Null) {
        return Ok(None);
    }
    let ordering = match (left, value(right, slots)?) {
        (_, Value::Null) => return Ok(None),
        // Texts have no order: both have to be numbers.
        (Value::Text(left), Value::Text(right)) => double_order(double(left)?, double(right)?),
        (left, right) => compare(left, right)?,
    };
    Ok(Some(order.holds(ordering)))
}

/// Java: `ComparisonExpression.__compare`: the right side decides which kind a text on the left has to be, the left side
/// which one on the right. What cannot be compared is less, whichever way round.
fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, EvalError> {
    use Value::{Bool, Double, Int, Long, Text};
    Ok(match (left, right) {
        (Bool(l), Bool(r)) => l.cmp(&r),
        (Bool(_), Text(_)) => return Err(EvalError::NotComparable),
        (Int(l), Int(r)) => l.cmp(&r),
        (Int(l), Long(r)) => i64::from(l).cmp(&r),
        (Int(l), Double(r)) => double_order(f64::from(l), r),
        (Int(l), Text(r)) => l.cmp(&number::int(r).ok_or(EvalError::NotANumber)?),
        (Long(l), Int(r)) => l.cmp(&i64::from(r)),
        (Long(l), Long(r)) => l.cmp(&r),
        (Long(l), Double(r)) => double_order(l as f64, r),
        (Long(l), Text(r)) => l.cmp(&number::long(r).ok_or(EvalError::NotANumber)?),
        (Double(l), Int(r)) => double_order(l, f64::from(r)),
        (Double(l), Long(r)) => double_order(l, r as f64),
        (Double(l), Double(r)) => double_order(l, r),
        (Double(l), Text(r)) => double_order(l, double(r)?),
        (Text(l), Bool(r)) => l.eq_ignore_ascii_case(b"true").cmp(&r),
        (Text(l), Int(r)) => number::int(l).ok_or(EvalError::NotANumber)?.cmp(&r),
        (Text(l), Long(r)) => number::long(l).ok_or(EvalError::NotANumber)?.cmp(&r),
        (Text(l), Double(r)) => double_order(double(l)?, r),
        // Only whether they are equal is ever asked.
        (Text(l), Text(r)) => l.cmp(r),
        (Bool(_), _) | (_, Bool(_)) | (Value::Null, _) | (_, Value::Null) => Ordering::Less,
    })
}

fn double(text: &[u8]) -> Result<f64, EvalError> {
    number::double(text).ok_or(EvalError::NotANumber)
}

/// Java: `Double.compareTo`: -0.0 is less than 0.0, NaN is greatest and equals itself.
fn double_order(left: f64, right: f64) -> Ordering {
    let canonical = |n: f64| if n.is_nan() { f64::NAN.copysign(1.0) } else { n };
    canonical(left).total_cmp(&canonical(right))
}

fn is_found(look: Look, text: &[u8], search: &[u8]) -> bool {
    match look {
        Look::Starts => text.starts_with(search),
        Look::Ends => text.ends_with(search),
        Look::Contains => match (std::str::from_utf8(text), std::str::from_utf8(search)) {
            // Linear, whatever the two are.
            (Ok(text), Ok(search)) => text.contains(search),
            _ => text.windows(search.len()).any(|w| w == search),
        },
    }
}
