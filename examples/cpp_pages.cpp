/* SPDX-License-Identifier: MIT */
/*
 * Weft in C++: tasks are lambdas, which may capture what can only be moved; results are what they return; an exception comes out where the
 * result is asked for; the standard's own guards hold Weft's mutexes.
 */
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
#include <weft.hpp>

using namespace std::chrono_literals;

static weft::mutex words_guard;
static std::map<std::string, int> words;

/* Counts the words of a page that is its own now. */
static std::size_t read_page(const std::unique_ptr<std::vector<std::string>> &page)
{
    if (page->empty())
        throw weft::error(ENODATA, "an empty page");
    for (const std::string &word : *page) {
        std::lock_guard held(words_guard);
        words[word]++;
    }
    return page->size();
}

int main()
{
    const std::vector<std::vector<std::string>> book = {{"the", "warp", "and", "the", "weft"}, {}, {"the", "loom"}};
    weft::pool pool(2U);
    std::vector<weft::future<std::size_t>> counts;
    for (const auto &text : book)
        counts.push_back(pool.submit([page = std::make_unique<std::vector<std::string>>(text)] { return read_page(page); }));
    for (const auto &count : counts) {
        try {
            const std::size_t length = count.get(20s);
            std::cout << "a page of " << length << " words\n";
        } catch (const weft::error &error) {
            std::cout << "no page: " << error.what() << (error.code() == std::errc::no_message_available ? " (ENODATA)" : "") << "\n";
        }
    }
    for (const auto &[word, times] : words)
        std::cout << word << " " << times << "\n";

    weft::queue queue;
    auto reader = weft::spawn([&] {
        int sum = 0;
        while (auto item = queue.get())
            sum += item->as<int>();
        return sum;
    });
    for (int i = 1; i <= 10; i++)
        queue.put(i);
    queue.close();
    std::cout << "the sum is " << reader.get() << "\n";
}
