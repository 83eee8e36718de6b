// SPDX-License-Identifier: Apache-2.0
// The tensor stream: what is written is read, what is passed through keeps its bytes, what is damaged is refused.
#include "tests/unit/formats/scratch.hpp"

#include "formats/stream/frame.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cmath>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace stillhouse;
using namespace stillhouse::formats;
using namespace stillhouse::formats::test;
using namespace std::string_literals;

BOOST_AUTO_TEST_SUITE(stream)

BOOST_AUTO_TEST_CASE(what_is_written_is_read)
{
    const Scratch scratch;
    const std::string path = scratch.file("a.mts");
    write_sample(path);
    StreamReader reader(Fd::open_input(path));
    BOOST_TEST(reader.info().kind == "model");
    BOOST_TEST(reader.info().history.size() == 1U);
    const Value* settings = reader.info().history[0].find("settings");
    BOOST_REQUIRE(settings != nullptr);
    BOOST_TEST(settings->find("lr")->number() == 1.0);
    BOOST_TEST(std::holds_alternative<double>(settings->find("lr")->kind()));

    BOOST_REQUIRE(reader.next() == StreamReader::Frame::tensor);
    const Tensor filter = reader.read();
    BOOST_TEST(filter.name() == "layers.0.mixer.filter");
    BOOST_TEST(filter.header.shape == (Shape{2, 3}), boost::test_tools::per_element());
    BOOST_TEST(filter.as<float>()[1] == -2.0F);
    BOOST_TEST(std::signbit(filter.as<float>()[5]));
    BOOST_TEST(std::signbit(filter.header.attribute("rate")->number()));
    BOOST_TEST(filter.header.attribute("far")->integer() == -5000000000);
    BOOST_TEST(filter.header.attribute("none")->is_null());
    BOOST_TEST(filter.header.attribute("list")->list()[1].text() == "two");
    BOOST_TEST(std::get<std::uint64_t>(filter.header.attribute("big")->kind()) == 18446744073709551615U);
    BOOST_TEST(filter.header.unknown[0].first == "later");
    BOOST_TEST(filter.header.attribute("absent") == nullptr);

    BOOST_REQUIRE(reader.next() == StreamReader::Frame::note);
    BOOST_TEST(reader.note().map[0].second.number() == 0.25);
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::tensor);
    BOOST_TEST(reader.header().bytes() == 0U);
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::tensor);     // the payload of `empty` is skipped
    double scalar = 1.0;
    reader.read_into(reinterpret_cast<std::byte*>(&scalar));
    BOOST_TEST(std::signbit(scalar));
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::end);
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::end);
    BOOST_TEST(reader.tensors_read() == 3);
    BOOST_TEST(reader.bytes_read() == content(path).size());
}

BOOST_AUTO_TEST_CASE(payloads_lie_at_multiples_of_64)
{
    const Scratch scratch;
    StreamWriter writer(AtomicFile(scratch.file("a.mts"), Overwrite::replace), {});
    std::vector<std::string> marks;
    for (int i = 0; i < 130; ++i) {
        const std::string mark = "mark" + std::to_string(1000 + i);
        writer.write(tensor_of<char>(std::string(static_cast<std::size_t>(i + 1), 'n'), DType::u8, {8},
                                     {mark.begin(), mark.end()}));
        marks.push_back(mark);
    }
    writer.finish();
    const std::string bytes = content(scratch.file("a.mts"));
    for (const std::string& mark : marks) {
        BOOST_TEST(bytes.find(mark) % 64 == 0U);
    }
    BOOST_TEST(writer.bytes_written() == bytes.size());
}

BOOST_AUTO_TEST_CASE(copying_keeps_every_byte)
{
    const Scratch scratch;
    write_sample(scratch.file("a.mts"));
    StreamReader reader(Fd::open_input(scratch.file("a.mts")));
    StreamWriter copied(AtomicFile(scratch.file("b.mts"), Overwrite::replace), reader.info());
    StreamReader again(Fd::open_input(scratch.file("a.mts")));
    StreamWriter encoded(AtomicFile(scratch.file("c.mts"), Overwrite::replace), again.info());
    for (StreamReader::Frame kind = reader.next(); kind != StreamReader::Frame::end; kind = reader.next()) {
        reader.copy_to(copied);
        if (again.next() == StreamReader::Frame::tensor) {
            encoded.write(again.read());
        } else {
            encoded.write(again.note());
        }
    }
    copied.finish();
    encoded.finish();
    BOOST_TEST(content(scratch.file("a.mts")) == content(scratch.file("b.mts")));
    BOOST_TEST(content(scratch.file("a.mts")) == content(scratch.file("c.mts")));
}

BOOST_AUTO_TEST_CASE(maps_of_other_writers_are_copied_as_they_are)
{
    // Keys in another order and integers in a longer form: legal msgpack that our writer would put otherwise.
    const Scratch scratch;
    const std::string map = "\x87\xa5" "frame" "\xa6" "tensor" "\xa5" "shape" "\x91\xcd\x00\x02" "\xa4name" "\xd9\x01x"
                    "\xa5" "dtype" "\xa2U8" "\xa5" "bytes" "\xd3\x00\x00\x00\x00\x00\x00\x00\x02"
                    "\xa6" "chunks" "\x91\x02" "\xaa" "attributes" "\x80"s;
    std::string bytes(frame::magic);
    frame::Hash all;
    const auto end_frame = [&](const std::string& frame_bytes) {
        frame::Hash hash;
        hash.update(frame_bytes.data(), frame_bytes.size());
        const auto body = hash.digest();
        all.update(body.data(), body.size());
        bytes += frame_bytes + "\xd7\x54" + std::string(body.data(), body.size());
    };
    end_frame(frame::encode_open({}));
    end_frame(map + frame::pad_at(bytes.size() + map.size()) + frame::chunk_header(2) + "hi");
    const auto body = all.digest();
    end_frame(frame::encode_end({1, 0, 2, {body.data(), body.size()}}));
    put_content(scratch.file("a.mts"), bytes);

    StreamReader reader(Fd::open_input(scratch.file("a.mts")));
    StreamWriter writer(AtomicFile(scratch.file("b.mts"), Overwrite::replace), reader.info());
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::tensor);
    BOOST_TEST(reader.header().name == "x");
    reader.copy_to(writer);
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::end);
    writer.finish();
    BOOST_TEST(content(scratch.file("b.mts")) == bytes);
}

BOOST_AUTO_TEST_CASE(pieces_make_the_same_bytes_as_a_whole)
{
    const Scratch scratch;
    std::vector<std::uint8_t> values(3'000'001);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<std::uint8_t>(i * i >> 3U);
    }
    const Tensor tensor = tensor_of("x", DType::u8, {3'000'001}, values);
    StreamWriter whole(AtomicFile(scratch.file("a.mts"), Overwrite::replace), {});
    whole.write(tensor);
    whole.finish();
    StreamWriter pieces(AtomicFile(scratch.file("b.mts"), Overwrite::replace), {});
    pieces.begin(tensor.header);
    for (std::size_t at = 0, n = 1; at < values.size(); at += n, n = std::min(values.size() - at, n * 3 + 1)) {
        pieces.append(tensor.data.data() + at, n);
    }
    pieces.end();
    pieces.finish();
    BOOST_TEST(content(scratch.file("a.mts")) == content(scratch.file("b.mts")));
    StreamReader reader(Fd::open_input(scratch.file("a.mts")));
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::tensor);
    std::vector<std::uint8_t> read;
    reader.read_pieces([&](const std::byte* bytes, std::size_t n) {
        const auto* first = reinterpret_cast<const std::uint8_t*>(bytes);
        read.insert(read.end(), first, first + n);
    });
    BOOST_TEST((read == values));
    BOOST_REQUIRE(reader.next() == StreamReader::Frame::end);
}

BOOST_AUTO_TEST_CASE(a_pipe_carries_a_stream)
{
    const Scratch scratch;
    const std::string fifo = scratch.file("fifo");
    BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    std::thread producer([&] { write_sample(fifo); });
    BOOST_TEST(read_all(fifo) == 5);
    producer.join();
}

BOOST_AUTO_TEST_CASE(an_unfinished_stream_leaves_nothing)
{
    const Scratch scratch;
    put_content(scratch.file("a.mts"), "old");
    {
        StreamWriter writer(AtomicFile(scratch.file("a.mts"), Overwrite::replace), {});
        writer.write(tensor_of<char>("x", DType::u8, {1}, {'x'}));
        BOOST_TEST(scratch.files() == 2U);
    }
    BOOST_TEST(content(scratch.file("a.mts")) == "old");
    BOOST_TEST(scratch.files() == 1U);
}

BOOST_AUTO_TEST_CASE(a_full_device_is_an_error)
{
    const auto error = error_of([] { write_sample("/dev/full"); });
    BOOST_REQUIRE(error);
    BOOST_TEST((error->code() == ErrorCode::io));
    BOOST_TEST(std::string(error->what()).find("/dev/full") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_reader_that_goes_is_a_broken_pipe)
{
    std::signal(SIGPIPE, SIG_IGN);
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    ::close(ends[0]);
    Fd out(ends[1], "a pipe", true);
    const std::byte byte{};
    const auto error = error_of([&] { out.write_full(&byte, 1); });
    BOOST_REQUIRE(error);
    BOOST_TEST((error->code() == ErrorCode::broken_pipe));
}

namespace {
std::atomic<bool> stop{false};
}

BOOST_AUTO_TEST_CASE(a_stop_interrupts_a_blocked_read)
{
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    Fd in(ends[0], "a pipe", true);
    set_interrupt_check([] { return stop.load(); });
    std::thread later([] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        stop = true;
    });
    std::byte byte{};
    const auto error = error_of([&] { in.read_full(&byte, 1); });
    later.join();
    set_interrupt_check(nullptr);
    ::close(ends[1]);
    BOOST_REQUIRE(error);
    BOOST_TEST((error->code() == ErrorCode::stopped));
}

BOOST_AUTO_TEST_CASE(headers_have_limits)
{
    const Scratch scratch;
    StreamWriter writer(AtomicFile(scratch.file("a.mts"), Overwrite::replace), {});
    Tensor tensor = tensor_of<char>("x", DType::u8, {1}, {'x'});
    tensor.header.set_attribute("long", std::string(1 << 20, 'a'));
    const auto error = error_of([&] { writer.write(tensor); });
    BOOST_REQUIRE(error);
    BOOST_TEST((error->code() == ErrorCode::bad_argument));
    Value nested = 1;
    for (int i = 0; i < 8; ++i) {
        nested = List{nested};
    }
    tensor.header.set_attribute("long", nested);
    BOOST_TEST((error_of([&] { writer.write(tensor); })->code() == ErrorCode::bad_argument));
}

BOOST_AUTO_TEST_SUITE_END()
