//! The syntax of metric math, after "Use metric math" in the Amazon CloudWatch User Guide: text in, a tree out.
//!
//! Function names are upper case and ids begin with a lower-case letter, so a word's first letter says what it is.

/// How deep parentheses, lists and calls may nest; beyond it an expression is refused rather than risk the stack.
const DEPTH_LIMIT: usize = 64;

/// One metric math expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// Such as `2.5`.
    Number(f64),
    /// Such as `"errors"` in `METRICS("errors")`.
    Text(String),
    /// The id of another query.
    Name(String),
    /// An upper-case word without parentheses, such as `REPEAT`.
    Word(String),
    /// `[m1, m2]`
    List(Vec<Expression>),
    /// `-m1`
    Negate(Box<Expression>),
    /// `m1 / m2`
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `FILL(m1, 0)`
    Call(String, Vec<Expression>),
}

impl Expression {
    /// Returns the ids that the expression names, in the order of the text, with repetitions.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::List(parts) | Self::Call(_, parts) => parts.iter().flat_map(Self::names).collect(),
            Self::Negate(inner) => inner.names(),
            Self::Binary(_, left, right) => left.names().into_iter().chain(right.names()).collect(),
            Self::Number(_) | Self::Text(_) | Self::Word(_) => Vec::new(),
        }
    }
}

/// An operator with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `^`
    Power,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    LessOrEqual,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `AND` or `&&`
    And,
    /// `OR` or `||`
    Or,
}

impl Operator {
    /// Says whether the operator yields 0 or 1: those do not take arrays of time series.
    pub fn is_logical(self) -> bool {
        !matches!(
            self,
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Power
        )
    }

    /// Binds tighter the higher it is; the power operator is read by its own rule.
    fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::NotEqual | Self::LessOrEqual | Self::GreaterOrEqual | Self::Less | Self::Greater => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide => 5,
            Self::Power => 6,
        }
    }
}

/// Why a text is no metric math expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A character that begins nothing.
    #[error("unexpected character `{found}` at position {at}")]
    ReadCharacter {
        /// The character.
        found: char,
        /// Counted from 1.
        at: usize,
    },
    /// A text without its closing quote.
    #[error("the text that begins at position {at} is not closed")]
    CloseText {
        /// Counted from 1.
        at: usize,
    },
    /// A token in a place where it makes no sense.
    #[error("expected {wanted}, found {found}")]
    Expect {
        /// What would have made sense.
        wanted: &'static str,
        /// What stands there.
        found: String,
    },
    /// Too many parentheses.
    #[error("the expression nests deeper than {DEPTH_LIMIT} levels")]
    Nest,
}

/// Reads one expression.
///
/// # Errors
/// When the text is not an expression from beginning to end.
pub(super) fn parse(text: &str) -> Result<Expression, SyntaxError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        position: 0,
        depth: 0,
    };
    let expression = parser.expression(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(SyntaxError::Expect {
            wanted: "an operator or the end",
            found: token.to_string(),
        }),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Lower(String),
    Upper(String),
    Operator(Operator),
    Mark(char),
}

impl std::fmt::Display for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "the number {number}"),
            Self::Text(text) => write!(formatter, "the text \"{text}\""),
            Self::Lower(word) | Self::Upper(word) => write!(formatter, "`{word}`"),
            Self::Operator(operator) => write!(formatter, "the operator {operator:?}"),
            Self::Mark(mark) => write!(formatter, "`{mark}`"),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
}

impl Parser {
    /// Reads operands joined by operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Result<Expression, SyntaxError> {
        let mut left = self.operand()?;
        while let Some(Token::Operator(operator)) = self.peek().cloned() {
            if operator.precedence() < least || operator == Operator::Power {
                break;
            }
            self.position += 1;
            let right = self.expression(operator.precedence() + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    /// Reads one operand with its sign and its power; `-2 ^ 2` is the negative of four.
    fn operand(&mut self) -> Result<Expression, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(SyntaxError::Nest);
        }
        let operand = if self.take(&Token::Operator(Operator::Subtract)) {
            Expression::Negate(Box::new(self.operand()?))
        } else {
            let base = self.primary()?;
            if self.take(&Token::Operator(Operator::Power)) {
                Expression::Binary(Operator::Power, Box::new(base), Box::new(self.operand()?))
            } else {
                base
            }
        };
        self.depth -= 1;
        Ok(operand)
    }

    fn primary(&mut self) -> Result<Expression, SyntaxError> {
        match self.next("a value")? {
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Text(text) => Ok(Expression::Text(text)),
            Token::Lower(name) => Ok(Expression::Name(name)),
            Token::Upper(word) if self.take(&Token::Mark('(')) => Ok(Expression::Call(word, self.until(')')?)),
            Token::Upper(word) => Ok(Expression::Word(word)),
            Token::Mark('[') => Ok(Expression::List(self.until(']')?)),
            Token::Mark('(') => {
                let inner = self.expression(0)?;
                if self.take(&Token::Mark(')')) {
                    Ok(inner)
                } else {
                    Err(self.unexpected("`)`"))
                }
            }
            token => Err(SyntaxError::Expect {
                wanted: "a value",
                found: token.to_string(),
            }),
        }
    }

    /// Reads expressions that commas part, and the mark that closes them.
    fn until(&mut self, close: char) -> Result<Vec<Expression>, SyntaxError> {
        let mut parts = Vec::new();
        if self.take(&Token::Mark(close)) {
            return Ok(parts);
        }
        loop {
            parts.push(self.expression(0)?);
            if self.take(&Token::Mark(close)) {
                return Ok(parts);
            }
            if !self.take(&Token::Mark(',')) {
                return Err(self.unexpected("`,` or a closing bracket"));
            }
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn take(&mut self, token: &Token) -> bool {
        let matches = self.peek() == Some(token);
        self.position += usize::from(matches);
        matches
    }

    fn next(&mut self, wanted: &'static str) -> Result<Token, SyntaxError> {
        let token = self.peek().cloned().ok_or_else(|| self.unexpected(wanted))?;
        self.position += 1;
        Ok(token)
    }

    fn unexpected(&self, wanted: &'static str) -> SyntaxError {
        let found = self.peek().map_or_else(|| "the end".to_owned(), Token::to_string);
        SyntaxError::Expect { wanted, found }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = characters.get(at) {
        if first.is_whitespace() {
            at += 1;
            continue;
        }
        let (token, length) = token(&characters[at..], at)?;
        tokens.push(token);
        at += length;
    }
    Ok(tokens)
}

/// Reads the token at the head of `rest`, and says how many characters it took.
fn token(rest: &[char], at: usize) -> Result<(Token, usize), SyntaxError> {
    let unexpected = |found: char| SyntaxError::ReadCharacter { found, at: at + 1 };
    match rest {
        [quote @ ('"' | '\''), inner @ ..] => {
            let length = inner
                .iter()
                .position(|next| next == quote)
                .ok_or(SyntaxError::CloseText { at: at + 1 })?;
            Ok((Token::Text(inner[..length].iter().collect()), length + 2))
        }
        [first, ..] if first.is_ascii_digit() || *first == '.' => {
            let length = number_length(rest);
            let text: String = rest[..length].iter().collect();
            text.parse()
                .map(|number| (Token::Number(number), length))
                .map_err(|_| unexpected(*first))
        }
        [first, ..] if first.is_ascii_alphabetic() => {
            let is_part = |next: &char| next.is_ascii_alphanumeric() || *next == '_';
            let length = rest.iter().take_while(|next| is_part(next)).count();
            Ok((word(rest[..length].iter().collect()), length))
        }
        [first, second, ..] if double(*first, *second).is_some() => double(*first, *second)
            .map(|operator| (Token::Operator(operator), 2))
            .ok_or(unexpected(*first)),
        [first, ..] => single(*first).map(|token| (token, 1)).ok_or(unexpected(*first)),
        [] => Err(unexpected(' ')),
    }
}

fn word(word: String) -> Token {
    match word.as_str() {
        "AND" => Token::Operator(Operator::And),
        "OR" => Token::Operator(Operator::Or),
        _ if word.starts_with(|first: char| first.is_ascii_uppercase()) => Token::Upper(word),
        _ => Token::Lower(word),
    }
}

fn double(first: char, second: char) -> Option<Operator> {
    match (first, second) {
        ('=', '=') => Some(Operator::Equal),
        ('!', '=') => Some(Operator::NotEqual),
        ('<', '=') => Some(Operator::LessOrEqual),
        ('>', '=') => Some(Operator::GreaterOrEqual),
        ('&', '&') => Some(Operator::And),
        ('|', '|') => Some(Operator::Or),
        _ => None,
    }
}

fn single(character: char) -> Option<Token> {
    match character {
        '+' => Some(Token::Operator(Operator::Add)),
        '-' => Some(Token::Operator(Operator::Subtract)),
        '*' => Some(Token::Operator(Operator::Multiply)),
        '/' => Some(Token::Operator(Operator::Divide)),
        '^' => Some(Token::Operator(Operator::Power)),
        '<' => Some(Token::Operator(Operator::Less)),
        '>' => Some(Token::Operator(Operator::Greater)),
        '(' | ')' | '[' | ']' | ',' => Some(Token::Mark(character)),
        _ => None,
    }
}

/// Returns how many characters belong to the number at the head: digits, one point, and an exponent that has digits.
fn number_length(rest: &[char]) -> usize {
    let mantissa = rest
        .iter()
        .take_while(|next| next.is_ascii_digit() || **next == '.')
        .count();
    let exponent = match &rest[mantissa..] {
        ['e' | 'E', '+' | '-', digit, ..] if digit.is_ascii_digit() => 2,
        ['e' | 'E', digit, ..] if digit.is_ascii_digit() => 1,
        _ => return mantissa,
    };
    let digits = rest[mantissa + exponent..]
        .iter()
        .take_while(|next| next.is_ascii_digit())
        .count();
    mantissa + exponent + digits
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_LIMIT, Expression, Operator, SyntaxError, parse};

    fn name(name: &str) -> Box<Expression> {
        Box::new(Expression::Name(name.to_owned()))
    }

    #[test]
    fn multiplication_binds_tighter_than_addition_and_comparison_looser() {
        let parsed = parse("m1 + m2 * m3 > m4 AND m5").expect("it is an expression");
        let product = Expression::Binary(Operator::Multiply, name("m2"), name("m3"));
        let sum = Expression::Binary(Operator::Add, name("m1"), Box::new(product));
        let compared = Expression::Binary(Operator::Greater, Box::new(sum), name("m4"));
        assert_eq!(
            parsed,
            Expression::Binary(Operator::And, Box::new(compared), name("m5"))
        );
    }

    #[test]
    fn operators_of_one_rank_go_from_left_to_right() {
        let parsed = parse("m1 - m2 - m3").expect("it is an expression");
        let first = Expression::Binary(Operator::Subtract, name("m1"), name("m2"));
        assert_eq!(
            parsed,
            Expression::Binary(Operator::Subtract, Box::new(first), name("m3"))
        );
    }

    #[test]
    fn both_spellings_of_the_logical_operators_are_read() {
        assert_eq!(parse("m1 && m2 || m3"), parse("m1 AND m2 OR m3"));
    }

    #[test]
    fn calls_lists_texts_words_and_numbers_are_read() {
        let parsed = parse("SUM([METRICS(\"err\"), FILL(m1, REPEAT)]) / 1.5e2").expect("it is an expression");
        assert_eq!(parsed.names(), ["m1"]);
        assert_eq!(parse("1.5e2"), Ok(Expression::Number(150.0)));
        assert_eq!(parse("'4xx'"), Ok(Expression::Text("4xx".to_owned())));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        let refusals = [
            "", "m1 +", "m1 m2", "(m1", "FILL(m1,", "m1 ; m2", "\"open", "1.2.3", "m1 = 2", ")",
        ];
        for text in refusals {
            assert!(parse(text).is_err(), "{text} was accepted");
        }
        assert_eq!(parse("m1 ; m2"), Err(SyntaxError::ReadCharacter { found: ';', at: 4 }));
    }

    #[test]
    fn an_expression_that_nests_too_deep_is_refused() {
        let deep = format!("{}m1{}", "(".repeat(DEPTH_LIMIT + 1), ")".repeat(DEPTH_LIMIT + 1));
        assert_eq!(parse(&deep), Err(SyntaxError::Nest));
        assert_eq!(parse(&"-".repeat(2_000)), Err(SyntaxError::Nest));
    }
}
