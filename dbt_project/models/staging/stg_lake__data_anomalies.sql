with source as (

    select * from {{ source('lake', 'data_anomalies') }}

),

renamed as (

    select
        -- identity
        underlying,
        kind,

        -- what it stops
        action,
        scope,
        contracts,
        share,
        symbols,
        spoils,

        -- how it was told
        source,
        found,
        expected,
        words,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
