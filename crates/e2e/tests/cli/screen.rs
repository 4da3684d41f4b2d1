//! What stands on a terminal's screen after everything that was written to it: as much of ECMA-48 as progress bars use.

/// Returns the lines of a screen of so many columns, without spaces at their ends.
pub fn lines(written: &str, width: usize) -> Vec<String> {
    let mut screen: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0usize, 0usize);
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            '\n' => row += 1,
            '\r' => column = 0,
            '\u{1b}' => {
                if rest.next() != Some('[') {
                    continue;
                }
                let mut number = String::new();
                let verb = rest.find(|c| {
                    number.push(*c);
                    c.is_ascii_alphabetic()
                });
                number.pop();
                let count = number.parse().unwrap_or(1);
                match verb {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('C') => column += count,
                    Some('D') => column = column.saturating_sub(count),
                    Some('G') => column = count - 1,
                    Some('K') if number == "2" => screen[row].clear(),
                    Some('K') => screen[row].truncate(column),
                    Some('J') => screen.truncate(row + 1),
                    // Colours, and whether the cursor is shown.
                    Some(_) | None => {}
                }
            }
            c if c.is_control() => {}
            c => {
                // A full line goes on in the next one, once there is more of it.
                if column == width {
                    (row, column) = (row + 1, 0);
                    screen.resize(screen.len().max(row + 1), Vec::new());
                }
                let line = &mut screen[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        screen.resize(screen.len().max(row + 1), Vec::new());
    }
    screen.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}
