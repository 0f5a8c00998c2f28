//! The grammar: a function a level. Java: `SelectorParser.jj`.
//!
//! As there, the end of the text is not asked for: an expression ends where no operator follows, and what is behind it
//! is not looked at beyond its first word.

use crate::error::{CompileError, EvalError};
use crate::expr::{Literal, Look, Node, Order, Pair, Shown};
use crate::lexer::{Kind, Lexer, Token, escaped};
use crate::{DEPTH_MAX, EXPRESSION_BYTES_MAX, Filter, NAMES_MAX};

type Parsed = Result<Part, CompileError>;

/// A node and how deep it is.
struct Part {
    node: Node,
    depth: usize,
}

pub fn parse(text: &str) -> Result<Filter, CompileError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(CompileError::TooLong(text.len()));
    }
    let mut parser =
        Parser { lexer: Lexer::new(text), ahead: [None; 2], expected: 0, nested: 0, names: Vec::new() };
    let part = parser.or()?;
    let mut root = parser.truth(part)?.node;
    let mut order: Vec<usize> = (0..parser.names.len()).collect();
    order.sort_by(|l, r| parser.names[*l].cmp(&parser.names[*r]));
    let mut places = vec![0; order.len()];
    for (place, old) in order.iter().enumerate() {
        places[*old] = place;
    }
    root.renumber(&places);
    parser.names.sort();
    Ok(Filter { nodes: root.count(), root, names: parser.names.into_boxed_slice() })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Words that were looked at and not taken.
    ahead: [Option<Token>; 2],
    /// What could have stood where the next word is: a bit a kind.
    expected: u64,
    /// Parentheses and unary operators that we are in.
    nested: usize,
    /// In the order of their first appearance.
    names: Vec<Box<str>>,
}

impl Parser<'_> {
    fn peek(&mut self) -> Result<Token, CompileError> {
        match self.ahead[0] {
            Some(token) => Ok(token),
            None => {
                let token = self.lexer.next()?;
                self.ahead[0] = Some(token);
                Ok(token)
            }
        }
    }

    /// The kind of the word behind the next one.
    fn peek_second(&mut self) -> Result<Kind, CompileError> {
        self.peek()?;
        if self.ahead[1].is_none() {
            self.ahead[1] = Some(self.lexer.next()?);
        }
        Ok(self.ahead[1].map_or(Kind::End, |t| t.kind))
    }

    fn take(&mut self) -> Result<Token, CompileError> {
        let token = self.peek()?;
        self.ahead = [self.ahead[1], None];
        self.expected = 0;
        Ok(token)
    }

    /// Whether the next word is of this kind; notes that it could have been.
    fn is(&mut self, kind: Kind) -> Result<bool, CompileError> {
        self.expected |= 1 << kind as u8;
        Ok(self.peek()?.kind == kind)
    }

    fn taken(&mut self, kind: Kind) -> Result<bool, CompileError> {
        let is = self.is(kind)?;
        if is {
            self.take()?;
        }
        Ok(is)
    }

    fn want(&mut self, kind: Kind) -> Result<Token, CompileError> {
        match self.is(kind)? {
            true => self.take(),
            false => Err(self.unexpected()),
        }
    }

    /// The next word cannot stand there.
    fn unexpected(&mut self) -> CompileError {
        let token = match self.peek() {
            Ok(token) => token,
            Err(error) => return error,
        };
        let (line, column) = self.lexer.place_of(token);
        let found = match token.kind {
            Kind::End => Kind::End.image(),
            kind => format!(" {} \"{} \"", kind.image(), escaped(self.lexer.image(token))),
        };
        let kinds: Vec<Kind> = KINDS.into_iter().filter(|k| self.expected >> *k as u8 & 1 == 1).collect();
        let mut expected = match kinds.len() {
            1 => "Was expecting:\n    ".to_owned(),
            _ => "Was expecting one of:\n    ".to_owned(),
        };
        for kind in kinds {
            expected += &format!("{} ...\n    ", kind.image());
        }
        // Java looks for a plus before anything else, and names it last.
        CompileError::Syntax { found, line, column, expected }
    }

    fn or(&mut self) -> Parsed {
        self.chain(Kind::Or, Self::and, Node::Or)
    }

    fn and(&mut self) -> Parsed {
        self.chain(Kind::And, Self::equality, Node::And)
    }

    fn chain(
        &mut self,
        operator: Kind,
        operand: fn(&mut Self) -> Parsed,
        made: fn(Vec<Node>) -> Node,
    ) -> Parsed {
        let first = operand(self)?;
        match self.taken(operator)? {
            true => self.chain_rest(first, operator, operand, made),
            false => Ok(first),
        }
    }

    // The functions that recurse are small, and what they do beside it is in others: a stack frame has room for all that a
    // function may need.
    fn chain_rest(
        &mut self,
        first: Part,
        operator: Kind,
        operand: fn(&mut Self) -> Parsed,
        made: fn(Vec<Node>) -> Node,
    ) -> Parsed {
        // Both sides of the first operator are read before they are judged.
        let second = operand(self)?;
        let (first, second) = (self.truth(first)?, self.truth(second)?);
        let mut depth = first.depth.max(second.depth);
        let mut nodes = vec![first.node, second.node];
        while self.taken(operator)? {
            let next = operand(self)?;
            let next = self.truth(next)?;
            depth = depth.max(next.depth);
            nodes.push(next.node);
        }
        deeper(made(nodes), depth)
    }

    fn equality(&mut self) -> Parsed {
        let mut left = self.comparison()?;
        loop {
            if self.taken(Kind::Equal)? {
                left = self.equals(left)?;
            } else if self.taken(Kind::NotEqual)? {
                left = not(self.equals(left)?)?;
            } else if self.taken(Kind::Is)? {
                left = self.is_null(left)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn equals(&mut self, left: Part) -> Parsed {
        let right = self.comparison()?;
        self.equal(left, right)
    }

    fn is_null(&mut self, left: Part) -> Parsed {
        let is_not = self.taken(Kind::Not)?;
        self.want(Kind::Null)?;
        let pair = Pair::from((left.node, Node::Literal(Literal::Null)));
        let is_null = deeper(Node::Equal(pair), left.depth)?;
        if is_not { not(is_null) } else { Ok(is_null) }
    }

    fn comparison(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let negated = self.negated()?;
            left = if !negated && let Some(order) = self.order()? {
                self.order_with(order, left)?
            } else if let Some(look) = self.look()? {
                let (search, of, depth) = (self.text()?, Box::new(left.node), left.depth);
                deeper(Node::Text { look, not: negated, of, search }, depth)?
            } else if self.taken(Kind::Between)? {
                self.bounds(negated, left)?
            } else if self.taken(Kind::In)? {
                self.elements(negated, &left.node)?
            } else {
                return Ok(left);
            };
        }
    }

    /// Whether a NOT stands before the next operator; there has to be one then.
    fn negated(&mut self) -> Result<bool, CompileError> {
        if !self.is(Kind::Not)? {
            return Ok(false);
        }
        let operators = &OPERATORS[..5];
        if !operators.contains(&self.peek_second()?) {
            self.expected &= !(1 << Kind::Not as u8);
            for kind in OPERATORS {
                self.expected |= 1 << kind as u8;
            }
            return Err(self.unexpected());
        }
        self.take()?;
        Ok(true)
    }

    fn order_with(&mut self, order: Order, left: Part) -> Parsed {
        let right = self.unary()?;
        self.ordered(&left.node)?;
        self.ordered(&right.node)?;
        let depth = left.depth.max(right.depth);
        deeper(Node::Order(order, Pair::from((left.node, right.node))), depth)
    }

    fn bounds(&mut self, negated: bool, value: Part) -> Parsed {
        let low = self.unary()?;
        self.want(Kind::And)?;
        let high = self.unary()?;
        self.between(negated, value, low, high)
    }

    fn order(&mut self) -> Result<Option<Order>, CompileError> {
        for (kind, order) in [
            (Kind::Greater, Order::Greater),
            (Kind::GreaterEqual, Order::GreaterEqual),
            (Kind::Less, Order::Less),
            (Kind::LessEqual, Order::LessEqual),
        ] {
            if self.taken(kind)? {
                return Ok(Some(order));
            }
        }
        Ok(None)
    }

    fn look(&mut self) -> Result<Option<Look>, CompileError> {
        for (kind, look) in
            [(Kind::Contains, Look::Contains), (Kind::StartsWith, Look::Starts), (Kind::EndsWith, Look::Ends)]
        {
            if self.taken(kind)? {
                return Ok(Some(look));
            }
        }
        Ok(None)
    }

    /// The list of IN, and what it is asked of.
    fn elements(&mut self, not: bool, left: &Node) -> Parsed {
        self.want(Kind::Open)?;
        let mut values = vec![self.text()?];
        while self.taken(Kind::Comma)? {
            values.push(self.text()?);
        }
        self.want(Kind::Close)?;
        let Node::Property(property) = *left else {
            let text = format!("Expected a property for In expression, got: {}", self.shown(left));
            return Err(CompileError::Operands(text));
        };
        values.sort();
        values.dedup();
        deeper(Node::In { not, property, values: values.into_boxed_slice() }, 0)
    }

    fn unary(&mut self) -> Parsed {
        if self.nested >= DEPTH_MAX {
            return Err(CompileError::TooDeep);
        }
        self.nested += 1;
        let part = self.unary_within();
        self.nested -= 1;
        part
    }

    fn unary_within(&mut self) -> Parsed {
        if self.is(Kind::Plus)? {
            return self.plus();
        }
        if self.taken(Kind::Minus)? {
            let part = self.unary()?;
            return deeper(Node::Negate(Box::new(part.node)), part.depth);
        }
        if self.taken(Kind::Not)? {
            let part = self.unary()?;
            return not(self.truth(part)?);
        }
        self.primary()
    }

    /// Means nothing, whatever follows. Java reads on to where that ends, and finds the plus wrong if it cannot.
    fn plus(&mut self) -> Parsed {
        let plus = self.take()?;
        match self.unary() {
            Err(CompileError::Syntax { .. }) => {
                self.ahead[0] = Some(plus);
                self.expected =
                    LITERALS | 1 << Kind::Not as u8 | 1 << Kind::Open as u8 | 1 << Kind::Minus as u8;
                Err(self.unexpected())
            }
            parsed => parsed,
        }
    }

    fn primary(&mut self) -> Parsed {
        if !self.taken(Kind::Open)? {
            return self.operand();
        }
        let part = self.or()?;
        self.want(Kind::Close)?;
        Ok(part)
    }

    fn operand(&mut self) -> Parsed {
        self.expected |= LITERALS;
        let token = self.peek()?;
        let image = self.lexer.image(token);
        let node = match token.kind {
            Kind::Text => return Ok(Part { node: Node::Literal(Literal::Text(self.text()?)), depth: 1 }),
            Kind::Whole => Node::Literal(whole(image)?),
            Kind::Fraction => Node::Literal(fraction(image)?),
            Kind::True => Node::Literal(Literal::Bool(true)),
            Kind::False => Node::Literal(Literal::Bool(false)),
            Kind::Null => Node::Literal(Literal::Null),
            Kind::Name => Node::Property(self.name(image)?),
            _ => return Err(self.unexpected()),
        };
        self.take()?;
        Ok(Part { node, depth: 1 })
    }

    fn text(&mut self) -> Result<Box<str>, CompileError> {
        let token = self.want(Kind::Text)?;
        let image = self.lexer.image(token);
        let inner = image.get(1..image.len() - 1).unwrap_or_default();
        Ok(inner.replace("''", "'").into_boxed_str())
    }

    fn name(&mut self, name: &str) -> Result<usize, CompileError> {
        if let Some(at) = self.names.iter().position(|n| **n == *name) {
            return Ok(at);
        }
        if self.names.len() >= NAMES_MAX {
            return Err(CompileError::TooManyNames);
        }
        self.names.push(name.into());
        Ok(self.names.len() - 1)
    }

    fn shown(&self, node: &Node) -> String {
        Shown { node, names: &self.names }.to_string()
    }

    /// Java: `asBooleanExpression`.
    fn truth(&self, part: Part) -> Parsed {
        match part.node {
            node if node.is_boolean() => Ok(Part { node, depth: part.depth }),
            Node::Property(at) => Ok(Part { node: Node::Cast(at), depth: part.depth }),
            node => Err(CompileError::NotBoolean(self.shown(&node))),
        }
    }

    fn equal(&self, left: Part, right: Part) -> Parsed {
        let cannot = |what: String| Err(CompileError::Operands(what));
        for node in [&left.node, &right.node] {
            if *node == Node::Literal(Literal::Null) {
                return cannot(format!("'{}' cannot be compared.", self.shown(node)));
            }
        }
        if let (Node::Literal(Literal::Bool(_)), Node::Literal(other)) = (&left.node, &right.node)
            && !matches!(other, Literal::Bool(_))
        {
            let (left, right) = (self.shown(&left.node), self.shown(&right.node));
            return cannot(format!("'{left}' cannot be compared with '{right}'"));
        }
        let depth = left.depth.max(right.depth);
        deeper(Node::Equal(Pair::from((left.node, right.node))), depth)
    }

    /// Only numbers, and what may turn out to be one, have an order.
    fn ordered(&self, node: &Node) -> Result<(), CompileError> {
        match node {
            Node::Literal(Literal::Int(_) | Literal::Long(_) | Literal::Double(_)) => Ok(()),
            Node::Property(_) | Node::Negate(_) => Ok(()),
            _ => Err(CompileError::Operands(format!("Value '{}' cannot be compared.", self.shown(node)))),
        }
    }

    fn between(&self, negated: bool, value: Part, low: Part, high: Part) -> Parsed {
        if !negated && let (Node::Literal(l), Node::Literal(h)) = (&low.node, &high.node) {
            let wrong = |text: String| Err(CompileError::Operands(text));
            if *l == Literal::Null || *h == Literal::Null {
                return wrong("Illegal values of between, values can not be null!".into());
            }
            // A minus sign makes a number something else than a literal: then the bounds are not looked at.
            match crate::eval::literals(h, l) {
                Ok(order) if order.is_lt() => {
                    return wrong(format!(
                        "Illegal values of between, left value({}) must less than or equal to right value({})",
                        plain(l),
                        plain(h)
                    ));
                }
                Ok(_) => {}
                Err((EvalError::NotANumber, text)) => {
                    return wrong(format!("java.lang.NumberFormatException: For input string: \"{text}\""));
                }
                Err((_, _)) => return wrong("a truth value cannot be compared with a string".into()),
            }
        }
        for node in [&value.node, &low.node, &value.node, &high.node] {
            self.ordered(node)?;
        }
        let depth = value.depth.max(low.depth).max(high.depth);
        let three = Box::new([value.node, low.node, high.node]);
        deeper(if negated { Node::NotBetween(three) } else { Node::Between(three) }, depth)
    }
}

/// What may follow an operand within a comparison: NOT stands only before the first five.
const OPERATORS: [Kind; 9] = [
    Kind::Contains,
    Kind::StartsWith,
    Kind::EndsWith,
    Kind::Between,
    Kind::In,
    Kind::Greater,
    Kind::GreaterEqual,
    Kind::Less,
    Kind::LessEqual,
];

/// What an operand begins with.
const LITERALS: u64 = 1 << Kind::Text as u8
    | 1 << Kind::Whole as u8
    | 1 << Kind::Fraction as u8
    | 1 << Kind::True as u8
    | 1 << Kind::False as u8
    | 1 << Kind::Null as u8
    | 1 << Kind::Name as u8;

/// In Java's order, but for the plus.
const KINDS: [Kind; 28] = [
    Kind::Not,
    Kind::And,
    Kind::Or,
    Kind::Between,
    Kind::In,
    Kind::True,
    Kind::False,
    Kind::Null,
    Kind::Is,
    Kind::Contains,
    Kind::StartsWith,
    Kind::EndsWith,
    Kind::Whole,
    Kind::Fraction,
    Kind::Text,
    Kind::Name,
    Kind::Equal,
    Kind::NotEqual,
    Kind::Greater,
    Kind::GreaterEqual,
    Kind::Less,
    Kind::LessEqual,
    Kind::Open,
    Kind::Comma,
    Kind::Close,
    Kind::Minus,
    // Java looks for it before anything else, and names it last.
    Kind::Plus,
    Kind::End,
];

fn deeper(node: Node, depth: usize) -> Parsed {
    match depth < DEPTH_MAX {
        true => Ok(Part { node, depth: depth + 1 }),
        false => Err(CompileError::TooDeep),
    }
}

fn not(part: Part) -> Parsed {
    deeper(Node::Not(Box::new(part.node)), part.depth)
}

/// Java: `ConstantExpression.createFromDecimal`.
fn whole(image: &str) -> Result<Literal, CompileError> {
    let digits = image.trim_end_matches(['l', 'L']);
    let long: i64 = digits.parse().map_err(|_| CompileError::Number(digits.to_owned()))?;
    Ok(i32::try_from(long).map_or(Literal::Long(long), Literal::Int))
}

/// Java: `ConstantExpression.createFloat`. Its least number is that above zero, so that 0.0 is refused.
fn fraction(image: &str) -> Result<Literal, CompileError> {
    let number = crate::number::double(image.as_bytes()).unwrap_or(f64::INFINITY);
    if number > f64::MAX {
        return Err(CompileError::Operands(format!("{image} is greater than 1.7976931348623157E308")));
    }
    if number == 0.0 {
        return Err(CompileError::Operands(format!("{image} is less than 4.9E-324")));
    }
    Ok(Literal::Double(number))
}

/// A literal as Java's `toString` has it.
fn plain(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => text.to_string(),
        Literal::Bool(b) => b.to_string(),
        number => number.to_string(),
    }
}
