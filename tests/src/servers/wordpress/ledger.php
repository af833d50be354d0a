<?php
// Must-use plugin: writes down every login, as one JSON object a line, and sends no mail.

function latchkey_record(string $event, string $typed): void
{
    $user = get_user_by('login', $typed) ?: get_user_by('email', $typed);
    $line = json_encode(['event' => $event, 'user' => $user ? $user->user_login : $typed]);
    file_put_contents(LATCHKEY_LEDGER, $line . "\n", FILE_APPEND | LOCK_EX);
}

add_action('wp_login', fn (string $login) => latchkey_record('succeeded', $login));
add_action('wp_login_failed', fn (string $typed) => latchkey_record('failed', $typed));

// WordPress defines this function only where no plugin did.
function wp_mail(...$arguments): bool
{
    return true;
}
