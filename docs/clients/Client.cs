// A WXRC client in C#, for .NET 6 or later and for Mono, with nothing but the class library.
//
//   mcs -r:System.Net.Http.dll Client.cs                              build it with Mono (dotnet: a console project with this file)
//   mono Client.exe BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]    call an interface and print the answer
//   mono Client.exe sign INTERFACE KEY < TEXT                         print the signature of a text
//   mono Client.exe verify SECRET ID TIMESTAMP SIGNATURES < BODY      end with 0 if a callback is genuine, else with 1
//
// Every call takes a new txcode, unless TXCODE names one, and ends after TOTAL_S seconds (60).
using System;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

public sealed class Client
{
    static readonly TimeSpan Try = TimeSpan.FromSeconds(30);
    const long ToleranceS = 300;
    static readonly HttpClient Http =
        new HttpClient(new HttpClientHandler { AllowAutoRedirect = false }) { Timeout = Timeout.InfiniteTimeSpan };

    readonly string url, chid, key;
    readonly TimeSpan total;
    readonly Random random = new Random();

    public Client(string url, string chid, string key, TimeSpan total)
    {
        this.url = url.TrimEnd('/');
        this.chid = chid;
        this.key = key;
        this.total = total;
    }

    /// <summary>HMAC-SHA256-V2: the interface's name, a line feed and the text, under the channel's KEY.</summary>
    public static string Sign(string name, byte[] text, string key)
    {
        return Hex(HmacSha256(Utf8(key), Utf8(name + "\n"), text));
    }

    /// <summary>Calls an interface and returns the answer's text.</summary>
    /// <remarks>When the answer is lost, or the gateway is busy, the very same bytes are sent again: with the same txcode it is done
    /// once.</remarks>
    public async Task<string> Call(string botcode, string name, string body = "{}", string txcode = null)
    {
        if (string.IsNullOrEmpty(txcode))
        {
            var bytes = new byte[10];
            using (var source = RandomNumberGenerator.Create()) source.GetBytes(bytes);
            txcode = Hex(bytes);
        }
        var txtime = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        var head = $"{{\"chid\":{Quoted(chid)},\"botcode\":{Quoted(botcode)},\"txcode\":{Quoted(txcode)},\"txtime\":\"{txtime}\"}}";
        var text = Utf8("{\"reqHead\":" + head + ",\"reqBody\":" + body + "}"); // what is signed is what is sent, byte for byte
        var until = DateTime.UtcNow + total;
        for (var wait = 200.0; ; wait = Math.Min(wait * 2, 5000))
        {
            string why;
            var after = TimeSpan.Zero;
            try
            {
                var left = until - DateTime.UtcNow;
                using (var limit = new CancellationTokenSource(left < Try ? (left > TimeSpan.Zero ? left : TimeSpan.Zero) : Try))
                using (var answer = await Http.SendAsync(Request(name, text), HttpCompletionOption.ResponseContentRead, limit.Token))
                {
                    var content = await answer.Content.ReadAsByteArrayAsync();
                    var status = (int)answer.StatusCode;
                    // Mono takes an answer that broke off for a whole one.
                    if (content.Length < (answer.Content.Headers.ContentLength ?? 0)) throw new IOException("the answer broke off");
                    if (status == 200) return Encoding.UTF8.GetString(content);
                    why = $"HTTP {status}: {Encoding.UTF8.GetString(content)}";
                    if (status != 408 && status != 429 && status < 500) throw new InvalidOperationException(why);
                    after = answer.Headers.RetryAfter?.Delta ?? TimeSpan.Zero;
                }
            }
            catch (Exception error) when (error is HttpRequestException || error is IOException || error is OperationCanceledException)
            {
                why = (error.InnerException ?? error).Message;
            }
            var pause = after + TimeSpan.FromMilliseconds(wait * (0.5 + random.NextDouble() / 2));
            if (DateTime.UtcNow + pause > until)
                throw new TimeoutException($"no answer ({why}); it may have been accepted: repeat it with TXCODE={txcode}");
            await Task.Delay(pause);
        }
    }

    /// <summary>Tells whether a callback is genuine and not an old one.</summary>
    /// <param name="signatures">The header webhook-signature.</param>
    /// <param name="body">The bytes as they came.</param>
    public static bool Verify(string secret, string id, string timestamp, string signatures, byte[] body)
    {
        long seconds;
        if (!long.TryParse(timestamp, out seconds)) return false;
        if (Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - (decimal)seconds) > ToleranceS) return false;
        var secretKey = Convert.FromBase64String(secret.StartsWith("whsec_") ? secret.Substring(6) : secret);
        var right = "v1," + Convert.ToBase64String(HmacSha256(secretKey, Utf8($"{id}.{timestamp}."), body));
        var genuine = false;
        foreach (var each in signatures.Split(' ')) genuine |= SameText(right, each);
        return genuine;
    }

    HttpRequestMessage Request(string name, byte[] text)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"{url}/api/{name}") { Content = new ByteArrayContent(text) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.Add("X-Ecaspsplus-SignatureType", "HMAC-SHA256-V2");
        request.Headers.Add("X-Ecaspsplus-Signature", Sign(name, text, key));
        return request;
    }

    // In the same time wherever the difference is.
    static bool SameText(string one, string other)
    {
        var difference = one.Length ^ other.Length;
        for (var i = 0; i < one.Length && i < other.Length; i++) difference |= one[i] ^ other[i];
        return difference == 0;
    }

    static byte[] HmacSha256(byte[] key, byte[] first, byte[] second)
    {
        var all = new byte[first.Length + second.Length];
        first.CopyTo(all, 0);
        second.CopyTo(all, first.Length);
        using (var hmac = new HMACSHA256(key)) return hmac.ComputeHash(all);
    }

    static string Hex(byte[] bytes) { return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant(); }

    static string Quoted(string text) { return '"' + text.Replace("\\", "\\\\").Replace("\"", "\\\"") + '"'; }

    static byte[] Utf8(string text) { return Encoding.UTF8.GetBytes(text); }

    static byte[] Input()
    {
        var read = new MemoryStream();
        using (var input = Console.OpenStandardInput()) input.CopyTo(read);
        return read.ToArray();
    }

    public static int Main(string[] values)
    {
        if (values.Length == 3 && values[0] == "sign")
        {
            Console.WriteLine(Sign(values[1], Input(), values[2]));
            return 0;
        }
        if (values.Length == 5 && values[0] == "verify") return Verify(values[1], values[2], values[3], values[4], Input()) ? 0 : 1;
        if (values.Length < 5 || values.Length > 6)
        {
            Console.Error.WriteLine("usage: mono Client.exe BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]");
            return 2;
        }
        try
        {
            var seconds = Environment.GetEnvironmentVariable("TOTAL_S");
            var total = TimeSpan.FromSeconds(string.IsNullOrEmpty(seconds) ? 60 : int.Parse(seconds));
            var client = new Client(values[0], values[1], values[2], total);
            var body = values.Length == 6 ? values[5] : "{}";
            var answer = client.Call(values[3], values[4], body, Environment.GetEnvironmentVariable("TXCODE")).GetAwaiter().GetResult();
            var output = Utf8(answer + "\n");
            using (var stdout = Console.OpenStandardOutput()) stdout.Write(output, 0, output.Length);
            return 0;
        }
        catch (Exception error) when (error is TimeoutException || error is InvalidOperationException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }
}
