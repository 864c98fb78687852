<?php
// A WXRC client for PHP 8.1 or later, without any package or extension.
//
//   php client.php BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]     call an interface and print the answer
//   php client.php sign INTERFACE KEY < TEXT                          print the signature of a text
//   php client.php verify SECRET ID TIMESTAMP SIGNATURES < BODY       end with 0 if a callback is genuine, else with 1
//
// Every call takes a new txcode, unless TXCODE names one, and ends after TOTAL_S seconds (60). To use it elsewhere: require 'client.php', then wxrc_call and wxrc_verify.

const WXRC_TRY_S = 30;
const WXRC_TOLERANCE_S = 300;

/** HMAC-SHA256-V2: the interface's name, a line feed and the text, under the channel's KEY. */
function wxrc_sign(string $interface, string $text, string $key): string
{
    return hash_hmac('sha256', "$interface\n$text", $key);
}

/**
 * Call an interface and return the answer's text.
 *
 * When the answer is lost, or the gateway is busy, the very same bytes are sent again: with the same txcode it is done once.
 */
function wxrc_call(string $base, string $chid, string $key, string $botcode, string $interface, string $body = '{}', string $txcode = '', float $total_s = 60.0): string
{
    $txcode = $txcode !== '' ? $txcode : bin2hex(random_bytes(10));
    $head = ['chid' => $chid, 'botcode' => $botcode, 'txcode' => $txcode, 'txtime' => sprintf('%d', microtime(true) * 1000)];
    $text = '{"reqHead":' . json_encode($head, JSON_UNESCAPED_SLASHES) . ',"reqBody":' . $body . '}'; // signed and sent byte for byte
    $options = ['http' => [
        'method' => 'POST',
        'header' => [
            'Content-Type: application/json',
            'X-Ecaspsplus-SignatureType: HMAC-SHA256-V2',
            'X-Ecaspsplus-Signature: ' . wxrc_sign($interface, $text, $key),
        ],
        'content' => $text,
        'ignore_errors' => true, // an answer with another status than 200 is an answer
        'follow_location' => 0,
    ]];
    $until = microtime(true) + $total_s;
    for ($wait = 0.2; ; $wait = min($wait * 2, 5.0)) {
        $options['http']['timeout'] = max(1.0, min(WXRC_TRY_S, $until - microtime(true)));
        error_clear_last();
        $answer = @file_get_contents(rtrim($base, '/') . "/api/$interface", false, stream_context_create($options));
        $lines = $answer === false ? [] : $http_response_header;
        $status = preg_match('#^HTTP/\S+ (\d{3})#', $lines[0] ?? '', $found) ? (int) $found[1] : 0;
        // An answer that broke off comes without any error: it is no JSON.
        if ($status === 200 && json_decode($answer) !== null) {
            return $answer;
        }
        $why = $status ? "HTTP $status: $answer" : (error_get_last()['message'] ?? 'no HTTP answer');
        if ($status !== 0 && $status !== 200 && $status !== 408 && $status !== 429 && $status < 500) {
            throw new RuntimeException($why);
        }
        $after = preg_match('/^Retry-After: *(\d+)/mi', implode("\n", $lines), $found) ? (float) $found[1] : 0.0;
        $pause = $after + $wait * (0.5 + mt_rand() / mt_getrandmax() / 2);
        if (microtime(true) + $pause > $until) {
            throw new RuntimeException("no answer ($why); it may have been accepted: repeat it with TXCODE=$txcode");
        }
        usleep((int) ($pause * 1_000_000));
    }
}

/**
 * Tell whether a callback is genuine and not an old one.
 *
 * $signatures is the header webhook-signature ($_SERVER['HTTP_WEBHOOK_SIGNATURE']), $body is file_get_contents('php://input').
 */
function wxrc_verify(string $secret, string $id, string $timestamp, string $signatures, string $body): bool
{
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    if ($key === false || !ctype_digit($timestamp) || abs(time() - (int) $timestamp) > WXRC_TOLERANCE_S) {
        return false;
    }
    $right = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', $signatures) as $each) {
        if (hash_equals($right, $each)) {
            return true;
        }
    }
    return false;
}

function wxrc_main(array $values): int
{
    if (count($values) === 3 && $values[0] === 'sign') {
        echo wxrc_sign($values[1], stream_get_contents(STDIN), $values[2]), "\n";
        return 0;
    }
    if (count($values) === 5 && $values[0] === 'verify') {
        return wxrc_verify($values[1], $values[2], $values[3], $values[4], stream_get_contents(STDIN)) ? 0 : 1;
    }
    if (count($values) < 5 || count($values) > 6) {
        fwrite(STDERR, "usage: php client.php BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]\n");
        return 2;
    }
    [$base, $chid, $key, $botcode, $interface] = $values;
    try {
        echo wxrc_call($base, $chid, $key, $botcode, $interface, $values[5] ?? '{}', (string) getenv('TXCODE'), (float) (getenv('TOTAL_S') ?: 60)), "\n";
        return 0;
    } catch (RuntimeException $error) {
        fwrite(STDERR, $error->getMessage() . "\n");
        return 1;
    }
}

if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    exit(wxrc_main(array_slice($argv, 1)));
}
