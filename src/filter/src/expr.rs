//! The compiled form: a tree, at most [`crate::DEPTH_MAX`] deep.

use std::cmp::Ordering;
use std::fmt;

/// A literal. Java: `ConstantExpression`; the last two are `BooleanConstantExpression`.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
    Bool(bool),
    Null,
}

/// Two operands.
pub type Pair = Box<(Node, Node)>;

/// How a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Contains,
    Starts,
    Ends,
}

/// An order comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

impl Order {
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Order::Greater => ordering.is_gt(),
            Order::GreaterEqual => ordering.is_ge(),
            Order::Less => ordering.is_lt(),
            Order::LessEqual => ordering.is_le(),
        }
    }

    pub const fn symbol(self) -> &'static str {
        match self {
            Order::Greater => ">",
            Order::GreaterEqual => ">=",
            Order::Less => "<",
            Order::LessEqual => "<=",
        }
    }
}

/// Part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Literal(Literal),
    /// The place of its name.
    Property(usize),
    /// A property where a truth value has to be: it never is one, so that this is FALSE, or NULL without it.
    Cast(usize),
    Negate(Box<Node>),
    Not(Box<Node>),
    /// `a AND b AND c`, from left to right.
    And(Vec<Node>),
    Or(Vec<Node>),
    Equal(Pair),
    Order(Order, Pair),
    /// The value, then its bounds.
    Between(Box<[Node; 3]>),
    NotBetween(Box<[Node; 3]>),
    Text {
        look: Look,
        not: bool,
        of: Box<Node>,
        search: Box<str>,
    },
    /// A property and the sorted values that it may have.
    In {
        not: bool,
        property: usize,
        values: Box<[Box<str>]>,
    },
}

impl Node {
    /// Java: `instanceof BooleanExpression`.
    pub fn is_boolean(&self) -> bool {
        match self {
            Node::Literal(literal) => matches!(literal, Literal::Bool(_) | Literal::Null),
            Node::Property(_) | Node::Negate(_) => false,
            _ => true,
        }
    }

    /// Gives every property its place in the sorted names.
    pub fn renumber(&mut self, places: &[usize]) {
        match self {
            Node::Literal(_) => {}
            Node::Property(at) | Node::Cast(at) | Node::In { property: at, .. } => *at = places[*at],
            Node::Negate(node) | Node::Not(node) | Node::Text { of: node, .. } => node.renumber(places),
            Node::And(nodes) | Node::Or(nodes) => nodes.iter_mut().for_each(|n| n.renumber(places)),
            Node::Equal(pair) | Node::Order(_, pair) => {
                pair.0.renumber(places);
                pair.1.renumber(places);
            }
            Node::Between(three) | Node::NotBetween(three) => {
                three.iter_mut().for_each(|n| n.renumber(places));
            }
        }
    }

    /// Operators, operands and list elements.
    pub fn count(&self) -> usize {
        1 + match self {
            Node::Literal(_) | Node::Property(_) | Node::Cast(_) => 0,
            Node::In { values, .. } => values.len(),
            Node::Negate(node) | Node::Not(node) | Node::Text { of: node, .. } => node.count(),
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(Node::count).sum(),
            Node::Equal(pair) | Node::Order(_, pair) => pair.0.count() + pair.1.count(),
            Node::Between(three) | Node::NotBetween(three) => three.iter().map(Node::count).sum(),
        }
    }
}

/// A node as Apache prints it: its error texts have expressions in them.
pub struct Shown<'a> {
    pub node: &'a Node,
    pub names: &'a [Box<str>],
}

impl Shown<'_> {
    fn of<'a>(&'a self, node: &'a Node) -> Shown<'a> {
        Shown { node, names: self.names }
    }

    fn chain(&self, f: &mut fmt::Formatter<'_>, nodes: &[Node], symbol: &str) -> fmt::Result {
        let Some((last, before)) = nodes.split_last() else { return Ok(()) };
        before.iter().skip(1).chain([last]).try_for_each(|_| f.write_str("("))?;
        for (i, node) in nodes.iter().enumerate() {
            match i {
                0 => write!(f, "{}", self.of(node))?,
                _ => write!(f, " {symbol} {})", self.of(node))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Int(n) => n.fmt(f),
            Literal::Long(n) => n.fmt(f),
            Literal::Double(n) if (1e-3..1e7).contains(n) => write!(f, "{n:?}"),
            Literal::Double(n) => {
                let text = format!("{n:E}");
                let point = if text.contains('.') { "E" } else { ".0E" };
                f.write_str(&text.replace('E', point))
            }
            Literal::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Literal::Bool(true) => f.write_str("TRUE"),
            Literal::Bool(false) => f.write_str("FALSE"),
            Literal::Null => f.write_str("NULL"),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |at: usize| self.names.get(at).map_or("", |n| n);
        match self.node {
            Node::Literal(literal) => literal.fmt(f),
            Node::Property(at) | Node::Cast(at) => f.write_str(name(*at)),
            Node::Negate(node) => write!(f, "(- {})", self.of(node)),
            Node::Not(node) => write!(f, "(NOT {})", self.of(node)),
            Node::And(nodes) => self.chain(f, nodes, "&&"),
            Node::Or(nodes) => self.chain(f, nodes, "||"),
            Node::Equal(pair) => write!(f, "({} == {})", self.of(&pair.0), self.of(&pair.1)),
            Node::Order(order, pair) => {
                write!(f, "({} {} {})", self.of(&pair.0), order.symbol(), self.of(&pair.1))
            }
            Node::Between(three) => {
                let [value, low, high] = three.each_ref().map(|n| self.of(n));
                write!(f, "(({value} >= {low}) && ({value} <= {high}))")
            }
            Node::NotBetween(three) => {
                let [value, low, high] = three.each_ref().map(|n| self.of(n));
                write!(f, "(({value} < {low}) || ({value} > {high}))")
            }
            Node::Text { look, not, of, .. } => {
                let look = match look {
                    Look::Contains => "CONTAINS",
                    Look::Starts => "STARTSWITH",
                    Look::Ends => "ENDSWITH",
                };
                write!(f, "({}{look} {})", if *not { "NOT " } else { "" }, self.of(of))
            }
            Node::In { not, property, values } => {
                write!(f, "{} {}IN ( ", name(*property), if *not { "NOT " } else { "" })?;
                write!(f, "{} )", values.join(", "))
            }
        }
    }
}
