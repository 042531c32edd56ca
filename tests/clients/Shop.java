import java.net.CookieManager;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

/** Uses the shop of examples/login.rs at the given address: logs in, reads the members' page, logs out. */
public class Shop {
    static final HttpClient CLIENT = HttpClient.newBuilder()
        .cookieHandler(new CookieManager())
        .followRedirects(HttpClient.Redirect.NORMAL)
        .build();

    public static void main(String[] arguments) throws Exception {
        URI shop = URI.create(arguments[0]);
        expect(get(shop.resolve("/me")), "/login", "Remember me");
        expect(post(shop.resolve("/cart"), "item=Assam"), "/", "Assam");
        expect(post(shop.resolve("/login"), "name=Ada&next=%2Fme"), "/me", "Ada");
        expect(get(shop), "/", "Assam");
        expect(get(shop.resolve("/me")), "/me", "Ends if unused");
        expect(post(shop.resolve("/logout"), ""), "/", "Log in");
        expect(get(shop.resolve("/me")), "/login", "Remember me");
    }

    static HttpResponse<String> get(URI page) throws Exception {
        return CLIENT.send(HttpRequest.newBuilder(page).build(), BodyHandlers.ofString());
    }

    static HttpResponse<String> post(URI page, String form) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(page)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(BodyPublishers.ofString(form))
            .build();
        return CLIENT.send(request, BodyHandlers.ofString());
    }

    static void expect(HttpResponse<String> answer, String path, String text) {
        boolean right = answer.statusCode() == 200
            && answer.uri().getPath().equals(path)
            && answer.body().contains(text);
        if (!right) {
            throw new AssertionError("expected " + path + " with \"" + text + "\", found "
                + answer.statusCode() + " " + answer.uri().getPath() + ": " + answer.body());
        }
    }
}
