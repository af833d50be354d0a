<?php
// Runs one verb inside WordPress: php tool.php HOST:PORT, a JSON object on stdin, a JSON value on stdout.

$request = json_decode(stream_get_contents(STDIN), true, 8, JSON_THROW_ON_ERROR);
$_SERVER['HTTP_HOST'] = $argv[1];
$_SERVER['REQUEST_METHOD'] = 'GET';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
if ($request['verb'] === 'install') {
    define('WP_INSTALLING', true);
}
require __DIR__ . '/www/wp-load.php';

$answer = match ($request['verb']) {
    'install' => install($request['user'], $request['email'], $request['password']),
    'create_author' => create_author($request['user'], $request['email'], $request['password']),
    'application_password' => application_password(user($request['user'])),
    'destroy_sessions' => destroy_sessions($request['id']),
    'session_cookie' => session_cookie(user($request['user']), $request['lifetime_seconds']),
};
echo json_encode($answer, JSON_THROW_ON_ERROR);

function install(string $user, string $email, string $password): string
{
    global $wp_rewrite;
    require_once ABSPATH . 'wp-admin/includes/upgrade.php';
    $installed = wp_install('Latchkey fixture', $user, $email, true, '', $password);
    $wp_rewrite->set_permalink_structure('/%postname%/');
    flush_rewrite_rules(false);
    return application_password(get_user_by('id', $installed['user_id']));
}

function create_author(string $user, string $email, string $password): int
{
    return sure(wp_insert_user([
        'user_login' => $user,
        'user_email' => $email,
        'user_pass' => $password,
        'role' => 'author',
    ]));
}

function application_password(WP_User $user): string
{
    $name = ['name' => 'latchkey ' . wp_generate_uuid4()];
    [$password] = sure(WP_Application_Passwords::create_new_application_password($user->ID, $name));
    return WP_Application_Passwords::chunk_password($password);
}

function destroy_sessions(int $id): bool
{
    if (!get_user_by('id', $id)) {
        throw new RuntimeException('no such user');
    }
    WP_Session_Tokens::get_instance($id)->destroy_all();
    return true;
}

/** Both cookies of a login: one for the administration, one for the rest of the site and its REST interface. */
function session_cookie(WP_User $user, int $lifetime_seconds): string
{
    $expiry = time() + $lifetime_seconds;
    $token = WP_Session_Tokens::get_instance($user->ID)->create($expiry);
    $cookies = [];
    foreach ([AUTH_COOKIE => 'auth', LOGGED_IN_COOKIE => 'logged_in'] as $name => $scheme) {
        $cookies[] = $name . '=' . rawurlencode(wp_generate_auth_cookie($user->ID, $expiry, $scheme, $token));
    }
    return implode('; ', $cookies);
}

function user(string $login): WP_User
{
    return get_user_by('login', $login) ?: throw new RuntimeException('no such user');
}

function sure(mixed $result): mixed
{
    return is_wp_error($result) ? throw new RuntimeException($result->get_error_code()) : $result;
}
